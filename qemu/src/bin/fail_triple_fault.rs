//! Must fail: the machine resets, which ends QEMU with exit code 0.
#![no_std]
#![no_main]

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, entry};
use x86_64::VirtAddr;
use x86_64::instructions::interrupts::int3;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;

entry!(main);

fn main(mut boot: Boot) -> ! {
    protocol::run(
        &[Test {
            name: "a reset is not a pass",
            run: triple_fault,
        }],
        &mut boot,
    )
}

fn triple_fault(_: &mut Boot) {
    let empty = DescriptorTablePointer {
        limit: 0,
        base: VirtAddr::new(0),
    };
    // SAFETY: none of its entries exists, so that any exception resets the machine: which is what
    // this kernel is for.
    unsafe { lidt(&empty) };
    int3();
}
