//! The smallest kernel: it starts, says what memory the machine has, and exits.
#![no_std]
#![no_main]

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, MemoryKind, entry, println};

entry!(main);

fn main(mut boot: Boot) -> ! {
    let tests = [
        Test {
            name: "the firmware's memory map has usable memory",
            run: memory_map,
        },
        Test {
            name: "there is a CPU, if the firmware says how many there are",
            run: cpus,
        },
        Test {
            name: "there are free frames",
            run: frames,
        },
    ];
    protocol::run(&tests, &mut boot)
}

fn memory_map(boot: &mut Boot) {
    let mut usable_bytes = 0;
    for region in boot.info.memory_map() {
        let range = region.range;
        println!(
            "# memory {:#012x}..{:#012x} {:?}",
            range.start, range.end, region.kind
        );
        if region.kind == MemoryKind::Usable {
            usable_bytes += range.end - range.start;
        }
    }
    assert!(usable_bytes > 0);
}

fn cpus(boot: &mut Boot) {
    if let Some(count) = boot.info.cpus() {
        println!("# {count} CPUs");
        assert!(count > 0);
    }
}

fn frames(boot: &mut Boot) {
    println!("# {} free frames", boot.frames.free_frames());
    assert!(boot.frames.free_frames() > 0);
    assert_eq!(boot.frames.free_frames(), boot.frames.managed_frames());
}
