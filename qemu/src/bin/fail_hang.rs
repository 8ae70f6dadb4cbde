//! Must fail: the kernel never ends, and the harness ends it.
#![no_std]
#![no_main]

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, entry};

entry!(main);

fn main(mut boot: Boot) -> ! {
    protocol::run(
        &[Test {
            name: "a hang is noticed",
            run: hang,
        }],
        &mut boot,
    )
}

fn hang(_: &mut Boot) {
    loop {
        core::hint::spin_loop();
    }
}
