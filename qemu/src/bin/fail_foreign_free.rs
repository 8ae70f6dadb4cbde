//! Must fail: memory is freed that the heap never handed out.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::alloc::dealloc;
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
            name: "a foreign pointer is reported",
            run: free_the_stack,
        }],
        &mut running,
    )
}

fn free_the_stack(_: &mut Running) {
    let mut number = 7_u64;
    let foreign = (&raw mut number).cast::<u8>();
    protocol::must_say(format_args!(
        "{foreign:p}: not an address of this heap; layout: 8 bytes aligned to 8"
    ));
    // SAFETY: it is not: the number lies on the stack, which is what this kernel is for. The heap
    // stops the machine.
    unsafe { dealloc(foreign, Layout::new::<u64>()) };
}
