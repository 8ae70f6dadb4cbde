//! A call of the function that a compiler calls for a read-modify-write that the core does not
//! have. This program must not link.
#![no_std]
#![no_main]

use archipelago_firmware::FirmwareHeap;
use archipelago_flat::CriticalSection;
use archipelago_link_check::halt;

#[global_allocator]
static HEAP: FirmwareHeap<CriticalSection> = FirmwareHeap::empty();

unsafe extern "C" {
    fn __sync_fetch_and_add_4(value: *mut u32, more: u32) -> u32;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn _start(value: *mut u32) -> ! {
    // SAFETY: the program does not link, so the call never runs.
    unsafe { __sync_fetch_and_add_4(value, 1) };
    halt()
}
