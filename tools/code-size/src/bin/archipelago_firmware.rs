//! The firmware heap.
#![no_std]
#![no_main]

use archipelago_code_size::Silent;
use archipelago_firmware::FirmwareHeap;

static HEAP: FirmwareHeap<Silent> = FirmwareHeap::empty();

#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller gives the bytes to the heap, and nothing else uses them.
    unsafe { HEAP.init(start, bytes) }.is_ok()
}

archipelago_code_size::exports!(HEAP);
