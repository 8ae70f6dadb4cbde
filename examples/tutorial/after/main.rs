//! The tutorial's kernel with a heap that maps its memory itself, as it is used.
#![no_std]
#![no_main]

extern crate alloc;

mod allocator;
#[path = "../heap_allocation.rs"]
mod heap_allocation;
mod memory;

use alloc::vec::Vec;

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, entry};

entry!(main);

fn main(boot: Boot) -> ! {
    // The boot code's mapper and frames stay unused: the kernel makes its own.
    let Boot { info, .. } = boot;
    // SAFETY: the boot code mapped all physical memory there, and its mapper is not used.
    let mapper = unsafe { memory::init() };
    // SAFETY: the boot code's frame pool, which knows of the same memory, has handed out none of
    // it.
    let frames = unsafe { memory::BootFrameAllocator::new(info) };
    allocator::init_heap(mapper, frames).expect("heap initialization failed");

    let [first, second, third, fourth] = heap_allocation::TESTS;
    let grows = Test {
        name: "the heap grows to what is asked of it",
        run: large,
    };
    protocol::run(&[first, second, third, fourth, grows], &mut ())
}

fn large(_: &mut ()) {
    let numbers: Vec<u64> = (0..1_000_000).collect();
    assert_eq!(numbers.iter().sum::<u64>(), 999_999 * 1_000_000 / 2);
}
