//! A mapper that reaches only frames that are tables already.

use archipelago_x86_64::{Paging, SingleCpu};
use x86_64::structures::paging::{FrameAllocator, RecursivePageTable, PhysFrame, Size4KiB};

struct Frames;

// SAFETY: no frame is handed out.
unsafe impl FrameAllocator<Size4KiB> for Frames {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        None
    }
}

static HEAP: archipelago::Heap<Paging<RecursivePageTable<'static>, Frames>, SingleCpu> =
    archipelago::Heap::new();

fn main() {
    println!("{HEAP:?}");
}
