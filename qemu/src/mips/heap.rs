//! The heap's machine: over the software page table and the frame pool.

use archipelago_api::{Machine, PhysAddr, VirtRange};
use archipelago_mips::{FrameReturn, FrameSource, Paging, SoftwareTables, Tlb};

use super::places::Segment;
use crate::{FramePool, Memory};

/// The page tables in use.
pub type Mapper = SoftwareTables<Segment>;

/// What frames come from.
pub type Frames = FramePool;

/// The heap's machine.
pub type HeapMachine = Paging<Frames, Segment, &'static Memory>;

// SAFETY: the pool hands out a frame once until it is given back, and only frames that nothing else
// uses, in kseg0's reach.
unsafe impl FrameSource for FramePool {
    fn take(&mut self) -> Option<PhysAddr> {
        FramePool::take(self).map(PhysAddr::new)
    }
}

impl FrameReturn for FramePool {
    unsafe fn give_back(&mut self, frame: PhysAddr) {
        FramePool::give_back(self, frame.value());
    }
}

/// A machine over the shared page tables and frames, which gives frames back that it does not need.
/// There may be several, each with windows in 4 MiB of their own.
#[must_use]
pub fn machine(memory: &'static Memory) -> HeapMachine {
    holding_machine(memory).returning()
}

/// The same, but it holds the frames that it needs no more.
#[must_use]
pub fn holding_machine(memory: &'static Memory) -> HeapMachine {
    // SAFETY:
    // - a reference leads to the same tables and frames always;
    // - there is one CPU and one directory, which its refill handler walks;
    // - the pool's frames lie in kseg0, not at address 0;
    // - the entry code sets PageMask, and the linker script puts the refill handler at its vector;
    // - the kernels touch no entry of a heap's window.
    unsafe { Paging::shared(memory) }
}

/// The same as [`machine`], but it leaves the processor to remember what is not there any more, and
/// that something was not there.
#[must_use]
pub fn careless_machine(memory: &'static Memory) -> impl Machine {
    machine(memory).with_tlb(Careless)
}

/// Lets the processor remember everything.
struct Careless;

// SAFETY: it is not safe: nothing is forgotten, which is what the one kernel that uses it is for.
unsafe impl Tlb for Careless {
    fn flush(&self, _range: VirtRange) {}

    fn filled(&self, _range: VirtRange) {}
}
