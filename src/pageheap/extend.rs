//! Runs that grow where they stand.

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::page_heap::{Online, PageHeap};
use super::pool::PagePool;
use super::reclaim::Reclaim;
use super::run::{ReadyRun, Want};
use crate::base::PageRun;
use crate::region::Cause;

impl<M: Machine, K: Kernel> PageHeap<M, K> {
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
        let found = self
            .pool
            .extend(&self.ledger, run, more.pages)
            .ok_or(Cause::NotFree { bytes })?;
        if may_grow {
            return self.covered(online, more, user, || {
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
}
