//! `buddy_system_allocator`, of 32 orders, behind a lock as its own feature has it.
#![no_std]
#![no_main]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use archipelago_code_size::Locked;
use buddy_system_allocator::Heap;

struct Buddies(Locked<Heap<32>>);

static HEAP: Buddies = Buddies(Locked::new(Heap::new()));

// SAFETY: the allocator's own promises, behind a lock.
unsafe impl GlobalAlloc for Buddies {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.0.lock().alloc(layout);
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller's promise.
            unsafe { self.0.lock().dealloc(pointer, layout) };
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: usize, bytes: usize) {
    // SAFETY: the caller hands over the bytes.
    unsafe { HEAP.0.lock().init(start, bytes) };
}

archipelago_code_size::exports!(HEAP);
