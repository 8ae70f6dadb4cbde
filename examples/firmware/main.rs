//! Firmware on a Cortex-M with the heap: everything but the boot code. The heap gets all memory of
//! a bank of RAM that the image and the stack leave.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use archipelago_cortex_m::SingleCpu;
use archipelago_flat::{FlatHeap, Region, Small, occupied};
use archipelago_qemu::{Boot, Verdict, entry, exit, println, protocol};

entry!(main);

/// Up to 4 MiB of RAM in one piece, in pages of 1 KiB.
#[global_allocator]
static HEAP: FlatHeap<SingleCpu, Small<23, 10>> = FlatHeap::empty();

// Symbols of the linker scripts, of which only the addresses mean anything. The stack begins at the
// end of the image's part of the bank.
unsafe extern "C" {
    static __sdata: u8;
    static mut _stack_start: u8;
}

/// Where the bank ends.
const RAM_END: *const u8 = core::ptr::without_provenance(0x2040_0000);

fn main(_: Boot) -> ! {
    let ram = Region::between(&raw mut _stack_start, RAM_END);
    let statics = occupied(&raw const __sdata, &raw const _stack_start);
    // SAFETY: the linker script leaves this part of the bank unused, which the call checks.
    unsafe { HEAP.init_regions(&[ram], &[statics]) }
        .unwrap_or_else(|error| panic!("no heap: {error}"));

    protocol::plan(2);
    protocol::test(1, "collections work", || {
        let squares: Vec<u32> = (1..=1000).map(|n| n * n).collect();
        let text: String = squares.iter().map(|n| n.to_string() + " ").collect();
        assert!(text.ends_with(" 998001 1000000 "));
    });
    protocol::test(2, "a heap over the statics is refused", || {
        let all = Region::between((&raw const __sdata).cast_mut(), RAM_END);
        let other: FlatHeap<SingleCpu, Small<23, 10>> = FlatHeap::empty();
        // SAFETY: the heap refuses a region that holds the statics before it touches it.
        let refused = unsafe { other.init_regions(&[all], &[statics]) };
        let refused = refused.expect_err("the statics are in it");
        println!("# {refused}");
    });
    for line in alloc::format!("{}", HEAP.stats()).lines() {
        println!("# {line}");
    }
    exit(Verdict::Pass)
}
