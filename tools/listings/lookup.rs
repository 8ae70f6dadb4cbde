//! A lookup as a kernel on x86_64 compiles it: from an address to its span.
//!
//! `cargo xtask listing` compiles this, compares the machine code with `lookup-x86_64.s`, and
//! counts its dependent loads.
#![no_std]

use archipelago::{Heap, VirtAddr, Window};
use archipelago_x86_64::{Paging, SingleCpu};
use x86_64::structures::paging::{FrameAllocator, OffsetPageTable, PhysFrame, Size4KiB};

/// A frame allocator that has none.
#[derive(Debug)]
pub struct NoFrames;

// SAFETY: no frame is handed out twice, since none is.
unsafe impl FrameAllocator<Size4KiB> for NoFrames {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        None
    }
}

/// The machine of the heap.
type Machine = Paging<OffsetPageTable<'static>, NoFrames>;

static HEAP: Heap<Machine, SingleCpu> = Heap::new();

/// Initialises the heap. Without this function the compiler would know that nobody does, and that
/// a lookup finds nothing.
#[unsafe(no_mangle)]
pub fn initialise(windows: &[Window], machine: Machine) -> bool {
    HEAP.init(windows, machine).is_ok()
}

/// Whether a span of the heap holds the address.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lookup(address: usize) -> bool {
    HEAP.owns(VirtAddr::new(address))
}
