//! Must fail: the kernel runs off its stack, onto the page that is not there.
#![no_std]
#![no_main]

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, entry};

entry!(main);

fn main(mut boot: Boot) -> ! {
    protocol::run(
        &[Test {
            name: "a stack overflow is reported",
            run: overflow,
        }],
        &mut boot,
    )
}

fn overflow(_: &mut Boot) {
    core::hint::black_box(deeper(u64::MAX));
}

/// Needs a stack of `depth` times 512 bytes.
fn deeper(depth: u64) -> u64 {
    let frame = core::hint::black_box([depth; 64]);
    if depth == 0 {
        frame[0]
    } else {
        deeper(depth - 1).wrapping_add(frame[0])
    }
}
