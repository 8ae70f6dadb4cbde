//! The reserve of the heap: Ready pages and span records that only atomic requests may take.

use archipelago_api::{Kernel, Machine};

use super::object_heap::Heap;
use crate::pageheap::Online;
use crate::region::Cause;
use crate::span::RecordKind;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Keeps `pages` Ready pages, and as many span records of each kind, for atomic requests. The
    /// next ordinary allocation refills what they take. Pages above the goal become free.
    ///
    /// # Errors
    /// The step that refused: the reserve holds what could be had, and ordinary allocations go on
    /// filling it.
    pub fn set_reserve(&self, pages: usize) -> Result<(), Cause> {
        let Some(online) = self.pages.online() else {
            return Err(Cause::NotInitialised);
        };
        self.refill.call_once(|| Self::try_to_fill_reserve);
        self.pages.keep_reserve(pages);
        self.central.lock().keep_records(pages);
        self.fill_reserve(online)
    }

    /// Refills the reserve as far as memory allows, for a request that goes on without it.
    #[cold]
    pub(super) fn refill_reserve(&self, online: &Online<M>) {
        if let Some(refill) = self.refill.get() {
            refill(self, online);
        }
    }

    fn try_to_fill_reserve(&self, online: &Online<M>) {
        self.fill_reserve(online).ok();
    }

    /// Fills the reserve as far as memory allows. A reserve that cannot be filled now is tried
    /// again by the next ordinary allocation.
    ///
    /// # Errors
    /// The step that refused.
    fn fill_reserve(&self, online: &Online<M>) -> Result<(), Cause> {
        self.pages.set_reserve_low(false);
        // Each for itself: pages serve although there is no memory for records, and the other way
        // round.
        let narrow = self.make_records(online, RecordKind::Narrow);
        let pages = self.pages.fill_reserve(online, self);
        let wide = self.make_records(online, RecordKind::Wide);
        let filled = narrow.and(pages).and(wide);
        if filled.is_err() {
            self.pages.set_reserve_low(true);
        }
        filled
    }
}
