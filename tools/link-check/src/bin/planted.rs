//! A call of what a compiler would call for a read-modify-write that the core does not have: this
//! must not link.
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
    // SAFETY: it is never run.
    unsafe { __sync_fetch_and_add_4(value, 1) };
    halt()
}
