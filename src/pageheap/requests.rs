//! Runs as requests want them: as their flags allow, with heap bitmap or without, and longer where
//! they stand.

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::page_heap::{Online, PageHeap};
use super::pool::PagePool;
use super::reclaim::Reclaim;
use super::run::{ReadyRun, Want};
use crate::base::PageRun;
use crate::region::Cause;
use crate::span::Scan;

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Allocates a run as `flags` allow.
    ///
    /// # Errors
    /// The step that refused; the heap is as it was. If it grew by a run whose bitmap was refused,
    /// the run is free.
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
            let before = self.memory(want.scan);
            let allocated = self.covered(online, want, before, user, || {
                self.alloc_with_room(online, want, user)
            });
            match allocated {
                // Interrupts are masked and the machine is in use: memory that is Ready has to do.
                Err(Cause::Busy) => flags = AllocFlags::ATOMIC,
                result => return result,
            }
        }
        self.alloc_ready(want, flags)
    }

    /// Allocates the pages of `more` that follow `run`, a run of the caller's.
    ///
    /// # Errors
    /// [`Cause::NotFree`] if they are not, or the step that refused. The heap is as it was.
    pub(crate) fn extend(
        &self,
        online: &Online<M>,
        run: PageRun,
        more: Want,
        flags: AllocFlags,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let bytes = more.pages << M::GEOMETRY.page_shift;
        let may_grow = !flags.contains(AllocFlags::NO_GROW);
        let before = self.memory(more.scan);
        let found = self
            .pool
            .extend(&self.ledger, run, more.pages)
            .or_else(|| {
                // Idle bitmap may lie there.
                let is_freed = may_grow && self.free_idle_parts(online);
                is_freed.then(|| self.pool.extend(&self.ledger, run, more.pages))?
            })
            .ok_or(Cause::NotFree { bytes })?;
        if may_grow {
            return self.covered(online, more, before, user, || {
                self.commit_found(online, found, user)
            });
        }
        match PagePool::<M, K>::if_ready(found) {
            Ok(ready) => self.keep_if_claimed(more.scan, ready),
            Err(transit) => {
                self.pool.free_in_transit(transit);
                Err(Cause::NotReady { bytes })
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
