//! Must fail: the kernel reads an object that it freed, whose memory was given back.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, HEAP_WINDOW, KernelHeap, Running, entry, start_heap};

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

fn main(boot: Boot) -> ! {
    let mut running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    protocol::run(
        &[Test {
            name: "decommitted memory faults",
            run: read_freed,
        }],
        &mut running,
    )
}

fn read_freed(_: &mut Running) {
    let block = vec![1_u8; 100_000];
    let first = block.as_ptr();
    drop(block);
    HEAP.scavenge(usize::MAX).expect("nobody uses the machine");
    protocol::must_say(format_args!(
        "reading {:#x}, which is not mapped",
        first.addr()
    ));
    // SAFETY: it is not: the block is freed, which is what this kernel is for. Its memory is not
    // Ready any more, and the processor refuses the read.
    let byte = unsafe { first.read_volatile() };
    assert_eq!(byte, 1);
}
