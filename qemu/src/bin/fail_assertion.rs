//! Must fail: an assertion does not hold.
#![no_std]
#![no_main]

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, entry};

entry!(main);

fn main(mut boot: Boot) -> ! {
    let tests = [Test {
        name: "a failing assertion is reported",
        run: more_frames_than_there_are,
    }];
    protocol::run(&tests, &mut boot)
}

fn more_frames_than_there_are(boot: &mut Boot) {
    assert_eq!(boot.frames.free_frames(), boot.frames.managed_frames() + 1);
}
