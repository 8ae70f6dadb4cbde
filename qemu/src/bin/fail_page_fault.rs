//! Must fail: the kernel reads memory that is not mapped.
#![no_std]
#![no_main]

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, FREE_PAGE, entry};

entry!(main);

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
    let pointer = FREE_PAGE as *const u8;
    protocol::must_say(format_args!("reading {FREE_PAGE:#x}, which is not mapped"));
    // SAFETY: it is not: the address is mapped nowhere, which is what this kernel is for. The
    // processor refuses the read, and the trap handler ends the machine.
    let byte = unsafe { pointer.read_volatile() };
    assert_eq!(byte, 0);
}
