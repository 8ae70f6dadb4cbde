//! The firmware heap with a panic planted in it, which whoever looks for one has to find.
#![no_std]
#![no_main]

use core::alloc::{GlobalAlloc, Layout};

use archipelago_firmware::FirmwareHeap;
use archipelago_code_size::Silent;

struct Planted(FirmwareHeap<Silent>);

static HEAP: Planted = Planted(FirmwareHeap::empty());

// SAFETY: memory comes from the firmware heap.
unsafe impl GlobalAlloc for Planted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let sizes = [8, 16, 32];
        let size = sizes[layout.size()];
        // SAFETY: the size is not 0, and the alignment is the layout's.
        let layout = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the layout is not empty.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.0.dealloc(pointer, layout) };
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller hands over the bytes.
    unsafe { HEAP.0.init(start, bytes) }.is_ok()
}

archipelago_code_size::exports!(HEAP);
