//! The reserve of the heap: Ready pages and span records that only atomic requests may take.

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::object_heap::Heap;
use crate::pageheap::Online;
use crate::region::Cause;
use crate::span::{RecordKind, Records};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Keeps `pages` Ready pages, and as many span records of each kind, for atomic requests. What
    /// they take is filled up again by the next ordinary request that needs pages; where that was
    /// refused, it is tried again after the heap's memory or its limit changed. Pages and records
    /// above the goal become free.
    ///
    /// # Errors
    /// The step that refused. The reserve holds what could be had, up to all memory that there is,
    /// and ordinary requests go on filling it. A smaller goal gives back what is above it.
    /// # Locks
    /// Takes the growth gate, central and page, each as often as it needs.
    pub fn set_reserve(&self, pages: usize) -> Result<(), Cause> {
        let Some(online) = self.pages.online() else {
            return Err(Cause::NotInitialised);
        };
        *self.refill.lock() = Some(try_to_fill);
        self.pages.keep_reserve(pages);
        let filled = fill(self, online);
        self.reclaim_record_pages(online);
        filled
    }

    /// Refills the reserve, if it is low and `flags` allow growth, as far as memory allows: for a
    /// request that needs pages, and that goes on without it.
    #[inline(always)]
    pub(super) fn refill_if_low(&self, online: &Online<M>, flags: AllocFlags) {
        if !flags.contains(AllocFlags::NO_GROW) && self.pages.reserve_is_low() {
            self.refill_reserve(online);
        }
    }

    #[cold]
    fn refill_reserve(&self, online: &Online<M>) {
        let refill = *self.refill.lock();
        if let Some(refill) = refill {
            refill(self, online);
        }
    }
}

/// Fills the reserve of `heap` if that may succeed.
fn try_to_fill<M: Machine, K: Kernel>(heap: &Heap<M, K>, online: &Online<M>) {
    if heap.pages.has_changed_since_refusal() {
        fill(heap, online).ok();
    }
}

/// Fills the reserve of `heap` as far as memory allows.
///
/// # Errors
/// The step that refused.
fn fill<M: Machine, K: Kernel>(heap: &Heap<M, K>, online: &Online<M>) -> Result<(), Cause> {
    heap.pages.set_reserve_low(false);
    heap.pages.set_reserve_filling(true);
    let pages = heap.pages.fill_reserve(online, heap);
    // More records than pages would be of no use.
    let kept = heap.pages.reserve_pages();
    heap.central.lock().keep_records(kept);
    // Each for itself: pages serve although there is no memory for records.
    let narrow = fill_records(heap, online, RecordKind::Narrow);
    let wide = fill_records(heap, online, RecordKind::Wide);
    heap.pages.set_reserve_filling(false);
    let filled = pages.and(narrow).and(wide);
    if filled.is_err() {
        heap.pages.note_refusal();
        heap.pages.set_reserve_low(true);
    }
    filled
}

/// Makes records of `kind` until as many are unused as are to be kept, and one more.
///
/// # Errors
/// Why there is no memory for them.
fn fill_records<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    online: &Online<M>,
    kind: RecordKind,
) -> Result<(), Cause> {
    if kind == RecordKind::Wide && !Records::<M>::HAS_WIDE {
        return Ok(());
    }
    while heap.central.lock().spare_records(kind) == 0 {
        heap.make_records(online, kind, AllocFlags::empty())?;
    }
    Ok(())
}
