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
            match self.alloc_or_grow(online, want, user) {
                // Interrupts are masked and the machine is in use: memory that is Ready has to do.
                Err(Cause::Busy) => flags = AllocFlags::ATOMIC,
                result => return result,
            }
        }
        self.alloc_ready(want, flags)
    }

    /// Allocates a run, and commits or grows for it as needed.
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
        if want.pages > 1 {
            // Idle bitmap would stand in the way of runs that are longer than a page.
            self.free_idle_parts(online);
        }
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
        if !self.covers(want.scan, found.run()) {
            self.unfind(found);
            return self.with_machine(online, user, |space, windows| {
                self.find_or_grow(online, space, windows, want, user)
            });
        }
        match PagePool::<M, K>::if_ready(found) {
            Ok(ready) => self.cover(online, want.scan, ready, user),
            Err(transit) => self.commit_found(online, want.scan, transit, user),
        }
    }

    /// Commits a run that was found, or frees it again.
    pub(super) fn commit_found(
        &self,
        online: &Online<M>,
        scan: Scan,
        transit: Transit,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        if Self::is_long(transit.run().count) {
            return self.commit_long(online, scan, transit, user);
        }
        let committed = self.with_machine(online, user, |space, windows| {
            self.commit_covered(online, space, windows, (scan, &transit), user)
        });
        self.finish_commit(transit, committed)
    }

    fn commit_covered(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &mut Windows,
        (scan, transit): (Scan, &Transit),
        user: &impl Reclaim<M>,
    ) -> Result<bool, Cause> {
        let covered = (scan, transit.run());
        self.with_bits(online, space, windows, covered, user, || {
            self.commit_part(space, transit, transit.run())
        })
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
        let mut found = self.find_or_reclaim(online, want, user);
        if let Some(run) = found.take_if(|run| !self.covers(want.scan, run.run())) {
            self.unfind(run);
            if let Some(covered) = self.find_covered(online, space, windows, want) {
                return covered;
            }
            found = self.pool.find_anywhere(&self.ledger, want);
        }
        let Some(found) = found else {
            return self.grow_covered(online, space, windows, want, user);
        };
        match PagePool::<M, K>::if_ready(found) {
            Ok(ready) => {
                let covered = (want.scan, ready.run());
                let covered = self.with_bits(online, space, windows, covered, user, || Ok(()));
                self.keep_if_covered(ready, covered)
            }
            Err(transit) => {
                let found = (want.scan, &transit);
                let committed = self.commit_covered(online, space, windows, found, user);
                self.finish_commit(transit, committed)
            }
        }
    }

    /// Gives a run that was found Ready the heap bitmap that is to cover it. The gate is entered
    /// only if the bitmap is not Ready.
    ///
    /// # Errors
    /// Why there is no bitmap; the run is free again.
    pub(super) fn cover(
        &self,
        online: &Online<M>,
        scan: Scan,
        ready: ReadyRun,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let run = ready.run();
        if self.claim_bits(scan, run) {
            return Ok(ready);
        }
        let covered = self.with_machine(online, user, |space, windows| {
            self.with_bits(online, space, windows, (scan, run), user, || Ok(()))
        });
        self.keep_if_covered(ready, covered)
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
