//! The smallest kernel with the heap: everything but the boot code, which hands over page tables
//! and frames. What differs from machine to machine is the crate, and where a window is.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use archipelago::{Heap, Window};
use archipelago_qemu::{Boot, FramePool, SingleCpu, Verdict, entry, exit, println, protocol};
#[cfg(machine = "x86_64")]
use x86_64::structures::paging::OffsetPageTable;

/// The page tables and the frames, which move into the heap.
#[cfg(machine = "x86_64")]
type Paging = archipelago_x86_64::Paging<OffsetPageTable<'static>, FramePool>;
#[cfg(machine = "arm")]
type Paging = archipelago_arm::Paging<archipelago_arm::Roots, FramePool>;
#[cfg(machine = "mips")]
type Paging = archipelago_mips::Paging<FramePool>;

entry!(main);

#[global_allocator]
static HEAP: Heap<Paging, SingleCpu> = Heap::new();

/// Address space for the heap: nothing else is mapped there. Memory follows as it is used.
#[cfg(machine = "x86_64")]
const WINDOW: Window = Window::new(0x4444_4444_0000, 1 << 30);
#[cfg(machine = "arm")]
const WINDOW: Window = Window::new(0xd000_0000, 1 << 28);
#[cfg(machine = "mips")]
const WINDOW: Window = Window::new(0x1000_0000, 1 << 28);

fn main(boot: Boot) -> ! {
    // SAFETY:
    // - There is one CPU and one hierarchy of page tables.
    // - The boot code maps every frame of the pool where the tables say, and none at address 0.
    // - The boot code lets pages be never executable.
    // - Nothing else is mapped in the window.
    let machine = unsafe { Paging::one_cpu(boot.mapper, boot.frames) };
    HEAP.init(&[WINDOW], machine.returning())
        .unwrap_or_else(|failure| panic!("no heap: {failure}"));

    protocol::plan(1);
    protocol::test(1, "collections work", || {
        let squares: Vec<u32> = (1..=1000).map(|n| n * n).collect();
        let text: String = squares.iter().map(|n| n.to_string() + " ").collect();
        assert!(text.ends_with(" 998001 1000000 "));
    });
    for line in alloc::format!("{}", HEAP.stats()).lines() {
        println!("# {line}");
    }
    exit(Verdict::Pass)
}
