//! The heap's machine: over the software page table and the frame pool.

use archipelago_mips::{Paging, SoftwareTables};

use super::addresses::Segment;
use crate::frames::FramePool;
use crate::shared::Memory;

/// The page tables in use.
pub type Mapper = SoftwareTables<Segment>;

/// The source of frames.
pub type Frames = FramePool;

/// The heap's machine.
pub type HeapMachine = Paging<Frames, Segment, &'static Memory>;

/// A machine over the shared page tables and frames, which holds the frames that it needs no more.
#[must_use]
pub fn holding_machine(memory: &'static Memory) -> HeapMachine {
    // SAFETY:
    // - a reference leads to the same tables and frames always;
    // - there is one CPU and one directory, which its refill handler walks;
    // - the pool's frames lie in kseg0, not at address 0;
    // - the entry code sets PageMask, and the linker script puts the refill handler at its vector;
    // - the kernels touch no entry of a heap's window.
    unsafe { Paging::shared_on_one_cpu(memory) }
}
