//! Filling the reserve.

use archipelago_api::{Kernel, Machine};

use super::page_heap::{Online, PageHeap};
use super::reclaim::Reclaim;
use super::run::Want;
use crate::region::Cause;

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Keeps `pages` Ready pages for atomic requests from now on. Pages above that become free;
    /// [`fill_reserve`](Self::fill_reserve) takes missing ones.
    pub(crate) fn keep_reserve(&self, pages: usize) {
        self.pool.keep_reserve(&self.ledger, pages);
    }

    /// Fills the reserve, in pieces if it cannot be had whole.
    ///
    /// # Errors
    /// The step that refused, with the figures of the whole reserve, which holds what could be had.
    pub(crate) fn fill_reserve(
        &self,
        online: &Online<M>,
        user: &impl Reclaim<M>,
    ) -> Result<(), Cause> {
        let mut pages = self.pool.missing_reserve();
        while pages > 0 {
            match self.alloc_or_grow(online, Want::pages(pages), user) {
                Ok(ready) => self.pool.add_to_reserve(&self.ledger, ready)?,
                Err(cause) if pages > 1 => pages = fewer::<M>(pages, cause),
                Err(cause) => return Err(self.refused_reserve(cause)),
            }
            pages = pages.min(self.pool.missing_reserve());
        }
        Ok(())
    }

    /// The refusal of the last page as one of the reserve.
    fn refused_reserve(&self, cause: Cause) -> Cause {
        let bytes = |pages: usize| pages.saturating_mul(M::GEOMETRY.page_bytes());
        let held = self.pool.reserve_pages();
        let all = bytes(held + self.pool.missing_reserve());
        cause.for_all(all, bytes(held), M::GEOMETRY.granule_bytes())
    }
}

/// The pages to try after `pages` were refused: half of them, or a bit less than there are frames
/// for, so that the reserve is in few runs.
fn fewer<M: Machine>(pages: usize, cause: Cause) -> usize {
    match cause {
        Cause::Frames { available, .. } => {
            let most = (available * M::GEOMETRY.granule_bytes()) >> M::GEOMETRY.page_shift;
            most.min(pages - pages.div_ceil(8)).max(1)
        }
        _ => pages / 2,
    }
}
