//! The tutorial's kernel with a heap that maps its memory itself, as it is used.
#![no_std]
#![no_main]

extern crate alloc;

mod allocator;
mod memory;

use alloc::boxed::Box;
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

    let tests = [
        Test {
            name: "boxes hold what they were given",
            run: boxes,
        },
        Test {
            name: "a vector grows",
            run: vector,
        },
        Test {
            name: "freed memory is used again",
            run: again,
        },
        Test {
            name: "the heap grows to what is asked of it",
            run: large,
        },
    ];
    protocol::run(&tests, &mut ())
}

fn boxes(_: &mut ()) {
    let (one, two) = (Box::new(41), Box::new(13));
    assert_eq!((*one, *two), (41, 13));
}

fn vector(_: &mut ()) {
    let mut numbers = Vec::new();
    (0..1000_u64).for_each(|number| numbers.push(number));
    assert_eq!(numbers.iter().sum::<u64>(), 999 * 1000 / 2);
}

fn again(_: &mut ()) {
    let long_lived = Box::new(1);
    for number in 0..allocator::HEAP_SIZE.min(100_000) {
        assert_eq!(*Box::new(number), number);
    }
    assert_eq!(*long_lived, 1);
}

fn large(_: &mut ()) {
    let numbers: Vec<u64> = (0..1_000_000).collect();
    assert_eq!(numbers.iter().sum::<u64>(), 999_999 * 1_000_000 / 2);
}
