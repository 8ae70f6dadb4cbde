//! Memory for the pages above a run, made Ready together with the run: the next requests find it.

use archipelago_api::{Kernel, Machine};

use super::page_heap::{Online, PageHeap};
use super::pool::PagePool;
use super::reclaim::Reclaim;
use super::run::{ReadyRun, Transit};
use crate::region::Cause;

/// The heap makes no more than one of so many of its pages Ready before it needs them.
const SHARE: usize = 512;
/// Pages that are made Ready ahead at most, so that the gate is soon open again.
const MOST: usize = 16;

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Commits a run that was found, and pages above it if there is plenty of memory.
    ///
    /// # Errors
    /// The step that refused the run itself; the run is free again.
    pub(super) fn commit_ahead(
        &self,
        online: &Online<M>,
        found: Transit,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let pages = found.run().count;
        let ready = self.ledger.mapped_ready() >> M::GEOMETRY.page_shift;
        let most = if K::CPUS == 0 {
            0
        } else {
            MOST.min(ready / SHARE)
        };
        if most == 0 || found.is_ready::<M>() || Self::is_long(pages + MOST) {
            return self.commit_found(online, found, user);
        }
        let longer = self.pool.take_above(found, most);
        if longer.run().count == pages {
            return self.commit_found(online, longer, user);
        }
        if let Ok(unclear) = self.commit_longer(online, &longer) {
            let ledger = &self.ledger;
            return Ok(self.pool.finish_ahead(ledger, longer, pages, unclear));
        }
        let (found, above) = longer.split_at(pages);
        self.pool.free_in_transit(above);
        self.commit_found(online, found, user)
    }

    // A function of its own for the sake of the stack where nothing is optimised.
    fn commit_longer(&self, online: &Online<M>, longer: &Transit) -> Result<usize, Cause> {
        self.in_gate(online, |space, _| {
            self.commit_part(space, longer, longer.run())
        })
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
}
