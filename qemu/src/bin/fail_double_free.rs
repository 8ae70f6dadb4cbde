//! Must fail: an object is freed twice.
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
            name: "a double free is reported",
            run: free_twice,
        }],
        &mut running,
    )
}

fn free_twice(_: &mut Running) {
    let layout = Layout::new::<[u64; 8]>();
    // SAFETY: the layout is not empty.
    let neighbour = unsafe { alloc(layout) };
    // SAFETY: as above.
    let block = unsafe { alloc(layout) };
    // SAFETY: it was allocated with this layout.
    unsafe { dealloc(block, layout) };
    let address = block.addr();
    protocol::must_say(format_args!(
        "{address:#x}: freed twice; layout: 64 bytes aligned to 8; span at "
    ));
    // SAFETY: it is not: the block is freed already, which is what this kernel is for. The heap
    // stops the machine.
    unsafe { dealloc(block, layout) };
    // SAFETY: as for the first free of the other block.
    unsafe { dealloc(neighbour, layout) };
}
