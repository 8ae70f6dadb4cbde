//! Work inside the growth gate.

use core::cell::Cell;

use archipelago_api::{Busy, Kernel, Machine};

use super::limit::admit;
use super::page_heap::{Online, PageHeap, STEP};
use super::reclaim::Reclaim;
use crate::base::sparse::{Entry, Zeroed};
use crate::region::{Cause, Purpose, Source, Space, Windows};

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Runs `work` inside the growth gate. As long as it is refused for want of memory that free
    /// pages have, they are scavenged and it runs again. With interrupts on, no more than a step's
    /// are scavenged at once, and the gate is open before `work` runs again.
    ///
    /// # Errors
    /// The error of the last run of `work`, or [`Cause::Busy`].
    pub(crate) fn with_machine<R>(
        &self,
        online: &Online<M>,
        user: &impl Reclaim<M>,
        mut work: impl FnMut(&Space<'_, M>, &mut Windows) -> Result<R, Cause>,
    ) -> Result<R, Cause> {
        if !M::DECOMMITS {
            return self.in_gate(online, work);
        }
        let mut last = None;
        loop {
            let done = self.in_gate(online, |space, windows| {
                self.with_reclaim(online, (space, windows), user, &mut last, &mut work)
            });
            if let Some(result) = done? {
                return Ok(result);
            }
        }
    }

    /// Runs `work` inside the growth gate, once.
    ///
    /// # Errors
    /// The error of `work`, or [`Cause::Busy`].
    #[inline(always)]
    pub(super) fn in_gate<R>(
        &self,
        online: &Online<M>,
        work: impl FnOnce(&Space<'_, M>, &mut Windows) -> Result<R, Cause>,
    ) -> Result<R, Cause> {
        let mut gated = self.enter()?;
        let pending_undo = Cell::new(core::mem::take(&mut gated.pending_undo));
        let (machine, heap) = (&online.machine, gated.heap);
        // SAFETY: the machine and the account are this heap's, whose gate is held until the space
        // is gone.
        let space = unsafe { Space::new::<K>(machine, &self.ledger, heap, admit, &pending_undo) };
        let result = match space {
            Ok(space) => work(&space, &mut gated.windows),
            Err(Busy) => Err(Cause::Busy),
        };
        gated.pending_undo = pending_undo.take();
        result
    }

    /// Memory for `count` entries of `T`, charged to `purpose`.
    ///
    /// # Errors
    /// Why there is no memory, or [`Cause::Busy`].
    pub(crate) fn take_metadata<T: Entry>(
        &self,
        online: &Online<M>,
        user: &impl Reclaim<M>,
        purpose: Purpose,
        count: usize,
    ) -> Result<Zeroed<T>, Cause> {
        self.with_machine(online, user, |space, windows| {
            windows
                .with_metadata::<M, K, _>(|windows| windows.source(space).take(purpose, count, 0))
        })
    }

    /// Decommits up to `pages` free pages, highest address first, in steps between which the gate
    /// is open, and returns how many.
    ///
    /// # Errors
    /// [`Cause::Busy`] if the machine is in use and interrupts are masked, before anything was
    /// decommitted.
    pub(crate) fn scavenge(
        &self,
        online: &Online<M>,
        user: &impl Reclaim<M>,
        pages: usize,
    ) -> Result<usize, Cause> {
        let mut done = 0;
        loop {
            let step = (pages - done).min(STEP);
            let scavenged = self.with_machine(online, user, |space, windows| {
                user.reclaim(online);
                self.scavenge_inside(space, windows, step)
            });
            match scavenged {
                Ok(more) => done += more,
                Err(cause) if done == 0 => return Err(cause),
                Err(_) => return Ok(done),
            }
            if done == pages || scavenged != Ok(step) {
                return Ok(done);
            }
        }
    }
}
