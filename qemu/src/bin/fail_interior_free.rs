//! Must fail: a pointer into the middle of an object is freed.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, HEAP_WINDOW, KernelHeap, Running, entry, start_heap};

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

fn main(boot: Boot) -> ! {
    let mut running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    protocol::run(
        &[Test {
            name: "a pointer into an object is reported",
            run: free_the_middle,
        }],
        &mut running,
    )
}

fn free_the_middle(_: &mut Running) {
    let layout = Layout::new::<[u64; 8]>();
    // SAFETY: the layout is not empty.
    let block = unsafe { alloc(layout) };
    // SAFETY: the block is 64 bytes long.
    let middle = unsafe { block.add(16) };
    protocol::must_say(format_args!(
        "{middle:p}: not the start of an object; layout: 64 bytes aligned to 8; span at "
    ));
    // SAFETY: it is not: no object starts there, which is what this kernel is for. The heap stops
    // the machine.
    unsafe { dealloc(middle, layout) };
}
