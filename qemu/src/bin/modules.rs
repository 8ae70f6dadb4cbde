//! Files that are loaded beside the kernel arrive whole, and stay.
//!
//! The harness passes a file and the command line `bytes=N sum=M`: the file's length and the sum of
//! its bytes.
#![no_std]
#![no_main]

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, FILL, FRAME_BYTES, Module, PhysRange, entry, physmap, println};

entry!(main);

fn main(mut boot: Boot) -> ! {
    let tests = [
        Test {
            name: "the module has the length and the bytes of the file",
            run: whole,
        },
        Test {
            name: "no frame of a module is ever handed out",
            run: kept,
        },
        Test {
            name: "the module is whole after all memory was used",
            run: whole,
        },
    ];
    protocol::run(&tests, &mut boot)
}

fn module(boot: &Boot) -> Module {
    boot.info.module().expect("the harness passes a module")
}

/// The number that follows `name=` on the command line.
fn expected(boot: &Boot, name: &str) -> u64 {
    let value = boot.info.value(name).and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("{name}=N on the command line"))
}

fn whole(boot: &mut Boot) {
    let module = module(boot);
    println!(
        "# {} bytes at {:#x}",
        module.bytes.len(),
        module.range.start
    );
    assert_eq!(module.bytes.len() as u64, expected(boot, "bytes"));
    let sum: u64 = module.bytes.iter().copied().map(u64::from).sum();
    assert_eq!(sum, expected(boot, "sum"));
}

fn kept(boot: &mut Boot) {
    let PhysRange { start, end } = module(boot).range;
    while let Some(frame) = boot.frames.take() {
        assert!(
            frame + FRAME_BYTES as u64 <= start || frame >= end,
            "{frame:#x}"
        );
        // Written to, so that the next test would see it.
        let first = physmap(frame);
        // SAFETY: the physmap maps the frame, and the pool has handed it to this kernel.
        unsafe { first.write(!FILL) };
    }
}
