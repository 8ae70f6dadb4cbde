//! The firmware heap with a planted panic, which the search for panics has to find.
#![no_std]
#![no_main]

use core::alloc::{GlobalAlloc, Layout};

use archipelago_code_size::Silent;
use archipelago_firmware::FirmwareHeap;

struct Planted(FirmwareHeap<Silent>);

static HEAP: Planted = Planted(FirmwareHeap::empty());

// SAFETY: the firmware heap keeps the promises.
unsafe impl GlobalAlloc for Planted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let sizes = [8, 16, 32];
        let size = sizes[layout.size()];
        // SAFETY:
        // - The alignment is that of a layout.
        // - The size is at most 32, so rounding it up does not overflow.
        let layout = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the layout is not empty.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `GlobalAlloc`, on which the allocator's rest.
        unsafe { self.0.dealloc(pointer, layout) };
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller gives the bytes to the heap, and nothing else uses them.
    unsafe { HEAP.0.init(start, bytes) }.is_ok()
}

archipelago_code_size::exports!(HEAP);
