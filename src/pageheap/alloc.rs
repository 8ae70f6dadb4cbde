//! Allocation of runs: found, committed, or grown.

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::page_heap::{Online, PageHeap};
use super::pool::PagePool;
use super::reclaim::Reclaim;
use super::run::{ReadyRun, Transit, Want};
use crate::base::PageRun;
use crate::region::{Cause, Space, Windows};
use crate::span::Scan;

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Allocates a run as `flags` allow.
    ///
    /// # Errors
    /// The step that refused; the heap is as it was.
    /// # Locks
    /// Takes the bitmap's lock, the page lock, and unless [`AllocFlags::NO_GROW`] is set the growth
    /// gate.
    pub(crate) fn alloc(
        &self,
        online: &Online<M>,
        want: Want,
        flags: AllocFlags,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let mut flags = flags;
        if !flags.contains(AllocFlags::NO_GROW) {
            let allocated = self.covered(online, want, user, || {
                self.alloc_or_grow(online, want, user)
            });
            match allocated {
                // Interrupts are masked and the machine is in use: memory that is Ready has to do.
                Err(Cause::Busy) => flags = AllocFlags::ATOMIC,
                result => return result,
            }
        }
        self.alloc_ready(want, flags)
    }

    /// Allocates a run without heap bitmap, and commits or grows for it as needed.
    ///
    /// # Errors
    /// The step that refused; the heap is as it was.
    // Out of line: spans and records call it.
    #[inline(never)]
    pub(crate) fn alloc_or_grow(
        &self,
        online: &Online<M>,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let mut is_last_try = false;
        self.clear_the_way(online, want);
        loop {
            let result = if Self::is_long(want.pages) {
                self.alloc_long(online, want, user)
            } else {
                self.alloc_short(online, want, user)
            };
            match result {
                // Others may have freed so much while it grew that there was nothing to grow for.
                Err(Cause::Window { .. }) if !is_last_try => {
                    is_last_try = true;
                    self.free_idle_parts(online);
                }
                Err(Cause::MetadataWindow { .. })
                    if !is_last_try && self.free_idle_parts(online) =>
                {
                    is_last_try = true;
                }
                result => return result,
            }
        }
    }

    /// Allocates a run, and commits it or grows for it in one step.
    ///
    /// # Errors
    /// The step that refused; the heap is as it was.
    fn alloc_short(
        &self,
        online: &Online<M>,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let Some(found) = self.pool.find(&self.ledger, want) else {
            return self.with_machine(online, user, |space, windows| {
                self.find_or_grow(online, space, windows, want, user)
            });
        };
        self.commit_found(online, found, user)
    }

    /// Commits a run that was found, or frees it again.
    ///
    /// # Errors
    /// The step that refused.
    pub(super) fn commit_found(
        &self,
        online: &Online<M>,
        found: Transit,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let transit = match PagePool::<M, K>::if_ready(found) {
            Ok(ready) => return Ok(ready),
            Err(transit) => transit,
        };
        if Self::is_long(transit.run().count) {
            return self.commit_long(online, transit, user);
        }
        let committed = self.with_machine(online, user, |space, _| {
            self.commit_part(space, &transit, transit.run())
        });
        self.finish_commit(transit, committed)
    }

    /// Inside the gate: looks at pages that were freed or grown while the caller waited, then at
    /// pages that were kept back, and then grows.
    #[inline(never)]
    fn find_or_grow(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &mut Windows,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let Some(found) = self.find_or_reclaim(online, want, user) else {
            return self.grow(space, windows, want);
        };
        match PagePool::<M, K>::if_ready(found) {
            Ok(ready) => Ok(ready),
            Err(transit) => {
                let committed = self.commit_part(space, &transit, transit.run());
                self.finish_commit(transit, committed)
            }
        }
    }

    /// Allocates a run that is Ready as it stands, and so is the bitmap that covers it, if there is
    /// to be one: for requests that must not call the machine.
    ///
    /// # Errors
    /// [`Cause::NotReady`]: neither the lowest free run nor, for an atomic request, the run of the
    /// reserve will do.
    pub(crate) fn alloc_ready(&self, want: Want, flags: AllocFlags) -> Result<ReadyRun, Cause> {
        let is_atomic = flags.contains(AllocFlags::ATOMIC);
        let is_covered = |run: PageRun| self.covers(want.scan, run);
        let ready = self
            .pool
            .take_ready(&self.ledger, want, is_atomic, is_covered);
        let bytes = want.pages << M::GEOMETRY.page_shift;
        let ready = ready.ok_or(Cause::NotReady { bytes })?;
        self.keep_if_claimed(want.scan, ready)
    }

    /// Claims the bitmap that covers a run that was found Ready, without calling the machine.
    ///
    /// # Errors
    /// [`Cause::NotReady`]: not all of the bitmap is Ready. The run is free again.
    pub(super) fn keep_if_claimed(&self, scan: Scan, ready: ReadyRun) -> Result<ReadyRun, Cause> {
        if self.claim_bits(scan, ready.run()) {
            return Ok(ready);
        }
        self.free(ready);
        let bytes = M::GEOMETRY.page_bytes();
        Err(Cause::NotReady { bytes })
    }
}
