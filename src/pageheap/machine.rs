//! Work inside the growth gate.

use core::cell::Cell;

use archipelago_api::{Busy, Kernel, Machine};

use super::limit::{Refusals, admit};
use super::page_heap::{Online, PageHeap};
use super::reclaim::Reclaim;
use crate::region::metadata::MetadataSource;
use crate::region::{Cause, Space, Windows};

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Runs `work` inside the growth gate. If it is refused for want of memory that free pages
    /// have, they are scavenged and it runs again.
    ///
    /// # Errors
    /// The error of `work`, or [`Cause::Busy`].
    pub(super) fn with_machine<R>(
        &self,
        online: &Online<M>,
        user: &impl Reclaim<M>,
        mut work: impl FnMut(&Space<'_, M>, &mut Windows) -> Result<R, Cause>,
    ) -> Result<R, Cause> {
        let mut gated = self.enter()?;
        let pending_undo = Cell::new(gated.pending_undo.take());
        let patience = gated.patience;
        let space = Space::new::<K>(
            &online.machine,
            &self.ledger,
            patience,
            admit,
            &pending_undo,
        );
        let result = match space {
            Ok(space) => {
                let mut refusals = Refusals::new();
                loop {
                    match work(&space, &mut gated.windows) {
                        Err(cause)
                            if M::DECOMMITS
                                && self.reclaim_for(
                                    online,
                                    &space,
                                    &gated.windows,
                                    user,
                                    cause,
                                    &mut refusals,
                                ) => {}
                        result => break result,
                    }
                }
            }
            Err(Busy) => Err(Cause::Busy),
        };
        gated.pending_undo = pending_undo.take();
        result
    }

    /// Runs `work` with metadata memory, inside the growth gate.
    ///
    /// # Errors
    /// The error of `work`, or [`Cause::Busy`].
    pub(crate) fn with_metadata(
        &self,
        online: &Online<M>,
        user: &impl Reclaim<M>,
        mut work: impl FnMut(&mut MetadataSource<'_, M>) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        self.with_machine(online, user, |space, windows| {
            windows.with_metadata::<M>(|windows| work(&mut windows.source(space)))
        })
    }

    /// Decommits up to `pages` free pages, highest address first, and returns how many.
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
        self.with_machine(online, user, |space, windows| {
            self.reclaim(online, user);
            self.scavenge_inside(space, windows, pages)
        })
    }
}
