//! Must fail: an object is freed with a layout that it does not have.
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
            name: "a wrong layout is reported",
            run: free_as_another,
        }],
        &mut running,
    )
}

fn free_as_another(_: &mut Running) {
    // SAFETY: the layout is not empty.
    let block = unsafe { alloc(Layout::new::<[u64; 8]>()) };
    protocol::must_say(format_args!(
        "{block:p}: not the layout it was allocated with; layout: 800 bytes aligned to 8; span at "
    ));
    // SAFETY: it is not: the object is smaller, which is what this kernel is for. The heap stops
    // the machine.
    unsafe { dealloc(block, Layout::new::<[u64; 100]>()) };
}
