//! The smallest kernel with the heap: everything but the boot code, which hands over page tables
//! and frames.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use archipelago::{Heap, Window};
use archipelago_qemu::{Boot, FramePool, Verdict, entry, exit, println, protocol};
use archipelago_x86_64::{Paging, SingleCpu};
use x86_64::structures::paging::OffsetPageTable;

entry!(main);

#[global_allocator]
static HEAP: Heap<Paging<OffsetPageTable<'static>, FramePool>, SingleCpu> = Heap::new();

/// Address space for the heap: nothing else is mapped there. Memory follows as it is used.
const WINDOW: Window = Window::new(0x4444_4444_0000, 1 << 30);

fn main(boot: Boot) -> ! {
    // SAFETY: there is one CPU and one hierarchy of page tables; the physmap, which is not at
    // address 0, maps every frame of the pool where the mapper says; the boot code sets EFER.NXE;
    // nobody else maps anything in the window.
    let machine = unsafe { Paging::new(boot.mapper, boot.frames) };
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
