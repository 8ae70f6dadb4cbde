//! The firmware heap.
#![no_std]
#![no_main]

use archipelago_firmware::FirmwareHeap;
use archipelago_flat::CriticalSection;
use archipelago_link_check::{RAM, RAM_BYTES, halt, work};

#[global_allocator]
static HEAP: FirmwareHeap<CriticalSection> = FirmwareHeap::empty();

#[unsafe(no_mangle)]
extern "C" fn _start(seed: u32) -> ! {
    // SAFETY:
    // - Nothing else uses the RAM.
    // - There is one core, and nothing else calls the heap meanwhile.
    let given = unsafe { HEAP.init(RAM.start(), RAM_BYTES) };
    if given.is_ok() {
        core::hint::black_box(work(seed));
    }
    halt()
}
