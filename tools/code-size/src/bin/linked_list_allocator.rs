//! `linked_list_allocator`, under a lock of ours.
#![no_std]
#![no_main]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use archipelago_code_size::Locked;
use linked_list_allocator::Heap;

struct List(Locked<Heap>);

static HEAP: List = List(Locked::new(Heap::empty()));

// SAFETY: the allocator keeps the promises, and the lock serialises its calls.
unsafe impl GlobalAlloc for List {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.0.lock().allocate_first_fit(layout);
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller keeps the promises of `GlobalAlloc`, on which the allocator's
            // rest.
            unsafe { self.0.lock().deallocate(pointer, layout) };
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: *mut u8, bytes: usize) {
    // SAFETY: the caller gives the bytes to the heap, and nothing else uses them.
    unsafe { HEAP.0.lock().init(start, bytes) };
}

archipelago_code_size::exports!(HEAP);
