//! Filling the reserve.

use archipelago_api::{Kernel, Machine};

use super::page_heap::{Online, PageHeap};
use super::reclaim::Reclaim;
use super::run::Want;
use crate::region::Cause;

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Keeps `pages` Ready pages for atomic requests from now on. FreePages above that become free;
    /// [`fill_reserve`](Self::fill_reserve) takes missing ones.
    pub(crate) fn keep_reserve(&self, pages: usize) {
        self.pool.keep_reserve(&self.ledger, pages);
    }

    /// Fills the reserve, in pieces if it cannot be had whole.
    ///
    /// # Errors
    /// The step that refused; the reserve holds what could be had.
    pub(crate) fn fill_reserve(
        &self,
        online: &Online<M>,
        user: &impl Reclaim<M>,
    ) -> Result<(), Cause> {
        let mut pages = self.pool.missing_reserve();
        while pages > 0 {
            match self.alloc_or_grow(online, Want::pages(pages), user) {
                Ok(ready) => self.pool.add_to_reserve(&self.ledger, ready)?,
                Err(_) if pages > 1 => pages = pages.div_ceil(2),
                Err(cause) => return Err(cause),
            }
            pages = pages.min(self.pool.missing_reserve());
        }
        Ok(())
    }
}
