//! Must fail: the kernel reads memory that is not mapped.
#![no_std]
#![no_main]

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, entry};

entry!(main);

/// In the upper half, far from the physmap and from the kernel.
const NOT_MAPPED: *const u8 = 0xffff_c000_dead_b000 as *const u8;

fn main(mut boot: Boot) -> ! {
    protocol::run(
        &[Test {
            name: "a page fault is reported",
            run: read,
        }],
        &mut boot,
    )
}

fn read(_: &mut Boot) {
    // SAFETY: it is not: the address is mapped nowhere, which is what this kernel is for. The
    // processor refuses the read, and the trap handler ends the machine.
    let byte = unsafe { NOT_MAPPED.read_volatile() };
    assert_eq!(byte, 0);
}
