//! Objects that are served elsewhere than in a span of their class, because there is no room for a
//! whole one.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::object_heap::Heap;
use crate::pageheap::{Online, Want};
use crate::region::Cause;
use crate::span::SpanClass;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Allocates an object of `class`, no span of which has a free slot: in a new span; else in a
    /// slot of a larger class, in a shorter span of one, or in a run of its own, so that a request
    /// which fits the longest free run is served.
    ///
    /// # Errors
    /// The step that refused the span; the heap is as it was.
    #[cold]
    pub(super) fn alloc_beyond(
        &self,
        online: &Online<M>,
        class: SpanClass,
        layout: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        self.alloc_in_new_span(online, class, flags)
            .or_else(|cause| {
                let memory = alloc_elsewhere(self, online, class, layout, flags).ok_or(cause)?;
                loosen(self, online, memory);
                Ok(memory)
            })
    }
}

/// Allocates an object of `class` in a slot of a larger class or in a run of its own.
fn alloc_elsewhere<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    online: &Online<M>,
    class: SpanClass,
    layout: Layout,
    flags: AllocFlags,
) -> Option<NonNull<[u8]>> {
    let table = Heap::<M, K>::TABLE;
    let page_bytes = M::GEOMETRY.page_bytes();
    let pages = layout.size().div_ceil(page_bytes);
    let mut fewest = table.pages(class.size_class());
    let mut number = class.size_class().number();
    while let Some(next) = table.class(number + 1) {
        number += 1;
        if table.size(next) > pages * page_bytes {
            // A run of its own takes no more.
            break;
        }
        if table.size(next) & (layout.align() - 1) != 0 {
            continue;
        }
        let span = SpanClass::new(next, class.scan());
        let slots = table.slots(next);
        let slot = heap.central.lock().alloc(online.records(), span, slots);
        if let Some(slot) = slot {
            return Some(heap.slot_memory(online, next, slot, flags));
        }
        if table.pages(next) < fewest {
            fewest = table.pages(next);
            if let Ok(memory) = heap.alloc_in_new_span(online, span, flags) {
                return Some(memory);
            }
        }
    }
    if pages >= fewest {
        return None;
    }
    let want = Want::pages(pages).for_scan(class.scan());
    heap.alloc_large(online, want, flags).ok()
}

/// Marks the span of an object that was just allocated: its layout may be one of a smaller class.
fn loosen<M: Machine, K: Kernel>(heap: &Heap<M, K>, online: &Online<M>, memory: NonNull<[u8]>) {
    let address = online.machine.address(memory.cast());
    let _lists = heap.central.lock();
    let handle = address.and_then(|address| heap.pages.index().span_of(address));
    if let Some(handle) = handle {
        online.records().get(handle).record.loosen();
    }
}
