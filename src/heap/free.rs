//! Frees.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine};

use super::lookup::{Location, Object};
use super::object_heap::Heap;
use crate::pageheap::Online;
use crate::span::Lists;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Frees an object. Memory of size zero needs no free and has no effect.
    ///
    /// The object's span is found by address, and the free is checked against it: the address is
    /// the start of a slot, the slot is live, its class is the layout's. Anything else stops the
    /// machine with a report.
    ///
    /// # Safety
    /// - `pointer` was allocated by this heap with `layout`, or reallocated to it.
    /// - Nothing uses the object any more.
    /// # Locks
    /// Takes central, the bitmap's (with the feature `heap-bits`), and page. Callable from an
    /// interrupt handler and from the machine.
    /// # Cost
    /// Constant, but for a large object or the last slot of a span: linear in the pages given back.
    pub unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        if layout.size() == 0 || unsafe { self.deallocate_early(pointer, layout) } {
            return;
        }
        let Some(online) = self.pages.online() else {
            Self::stop_foreign(pointer, layout);
        };
        // SAFETY: the object is the caller's, as it promises.
        unsafe { self.clear_large(online, pointer, layout) };
        let mut lists = self.central.lock();
        let object = if Self::SAVES_CODE {
            // SAFETY: the central lock is held until the object is used up.
            unsafe { self.object_shared(online, pointer, layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.object(online, pointer, layout) }
        };
        let freed = object.map(|object| self.free_object(online, &mut lists, object));
        // The report is made with no lock held, so that the kernel may free while it prints.
        drop(lists);
        if let Err(fault) = freed {
            self.stop_misused(online, pointer, layout, fault);
        }
    }

    #[inline]
    fn free_object(&self, online: &Online<M>, lists: &mut Lists, object: Object<'_>) {
        // SAFETY: the central lock is held: the caller has the lists.
        unsafe { self.clear_slot(online, &object) };
        let (records, handle, span) = (online.records(), object.handle, object.span);
        let emptied = match object.location {
            Location::Whole => {
                // SAFETY: the span is a large object's, which is being freed.
                Some(unsafe { lists.retire(records, handle) })
            }
            Location::Slot { class, slot } => {
                let slots = Self::TABLE.slots(class);
                lists.free(records, handle, span, class, slot, slots)
            }
        };
        // Under the central lock: until the entries are gone, a lookup finds a record that is in
        // the pool.
        if let Some(retired) = emptied {
            self.free_retired(span.scan(), retired);
        }
    }

    /// Frees `pointer` if it is the early heap's.
    ///
    /// # Safety
    /// As for [`deallocate`](Self::deallocate).
    unsafe fn deallocate_early(&self, pointer: NonNull<u8>, layout: Layout) -> bool {
        self.early.holds(pointer)
            // SAFETY: the caller allocated it with `layout`, and it lies in the early region.
            && unsafe { self.early.deallocate(pointer, layout) }
    }
}
