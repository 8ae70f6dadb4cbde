//! A kernel as the usual tutorial leaves it: a block of memory for the heap, mapped page by page.
#![no_std]
#![no_main]

extern crate alloc;

mod allocator;
#[path = "../heap_allocation.rs"]
mod heap_allocation;
mod memory;

use archipelago_qemu::{Boot, entry, protocol};

entry!(main);

fn main(boot: Boot) -> ! {
    // The boot code's mapper and frames stay unused: the kernel makes its own.
    let Boot { info, .. } = boot;
    // SAFETY: the boot code mapped all physical memory there, and its mapper is not used.
    let mut mapper = unsafe { memory::init() };
    // SAFETY: the boot code's frame pool, which knows of the same memory, has handed out none of
    // it.
    let mut frames = unsafe { memory::BootFrameAllocator::new(info) };
    allocator::init_heap(&mut mapper, &mut frames).expect("heap initialization failed");

    protocol::run(&heap_allocation::TESTS, &mut ())
}
