//! The firmware heap, with memory of its own.
#![no_std]
#![no_main]

use archipelago_link_check::{RAM_BYTES, halt, work};

archipelago_firmware::heap!(HEAP, RAM_BYTES);

#[unsafe(no_mangle)]
extern "C" fn _start(seed: u32) -> ! {
    core::hint::black_box(work(seed));
    halt()
}
