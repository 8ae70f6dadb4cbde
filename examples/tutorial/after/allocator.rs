//! The kernel's heap.

use archipelago::{Heap, InitError, Window};
use archipelago_x86_64::{Paging, SingleCpu};
use x86_64::structures::paging::OffsetPageTable;

use crate::memory::BootFrameAllocator;

pub const HEAP_START: usize = 0x4444_4444_0000;
/// Address space, which costs nothing until it is used.
pub const HEAP_WINDOW: usize = 1 << 30;
/// The number of boxes that the tutorial's tests make, one after the other.
pub const HEAP_SIZE: usize = 100 * 1024;

#[global_allocator]
static ALLOCATOR: Heap<Paging<OffsetPageTable<'static>, BootFrameAllocator>, SingleCpu> =
    Heap::new();

pub fn init_heap(
    mapper: OffsetPageTable<'static>,
    frames: BootFrameAllocator,
) -> Result<(), InitError> {
    // SAFETY: one CPU, one set of page tables, which map all physical memory at an offset other
    // than 0; EFER.NXE is set; nothing else is mapped where the heap goes.
    let machine = unsafe { Paging::one_cpu(mapper, frames) };
    ALLOCATOR
        .init(&[Window::new(HEAP_START, HEAP_WINDOW)], machine)
        .map_err(|failure| failure.error)
}
