//! The whole heap on a machine without an MMU, with the features that it has by default.
#![no_std]
#![no_main]

use archipelago_flat::{CriticalSection, FlatHeap};
use archipelago_link_check::{RAM, RAM_BYTES, halt, work};

#[global_allocator]
static HEAP: FlatHeap<CriticalSection> = FlatHeap::empty();

#[unsafe(no_mangle)]
extern "C" fn _start(seed: u32) -> ! {
    // SAFETY: nothing else uses the RAM.
    let given = unsafe { HEAP.init(RAM.start(), RAM_BYTES) };
    if given.is_ok() {
        core::hint::black_box(work(seed));
    }
    halt()
}
