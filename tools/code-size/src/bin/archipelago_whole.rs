//! The whole heap, on a machine without an MMU.
#![no_std]
#![no_main]

use archipelago_code_size::Silent;
use archipelago_flat::{FlatHeap, Region, Small};

static HEAP: FlatHeap<Silent, Small<21, 10>> = FlatHeap::empty();

#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller gives the bytes to the heap, and nothing else uses them.
    unsafe { HEAP.init_regions(&[Region::new(start, bytes)], &[]) }.is_ok()
}

archipelago_code_size::exports!(HEAP);
