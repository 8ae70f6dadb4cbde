//! The whole heap on a machine without an MMU, with the features that it has by default and with
//! memory of its own.
#![no_std]
#![no_main]

use archipelago_link_check::{RAM_BYTES, halt, work};

archipelago_flat::heap!(HEAP, RAM_BYTES);

#[unsafe(no_mangle)]
extern "C" fn _start(seed: u32) -> ! {
    core::hint::black_box(work(seed));
    halt()
}
