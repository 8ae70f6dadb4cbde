//! The heap's machine: over the boot code's page tables and frame pool.

use archipelago::Window;
use archipelago_api::{Machine, PhysAddr, VirtRange};
use archipelago_arm::{FrameReturn, FrameSource, Paging, Roots, Tlb};

use crate::{FramePool, Memory};

/// The page tables in use.
pub type Mapper = Roots;

/// What frames come from.
pub type Frames = FramePool;

/// The heap's machine.
pub type HeapMachine = Paging<Mapper, Frames, &'static Memory>;

/// From where TTBR1 translates on, as much as there can be memory: what runs out first is frames.
pub const HEAP_WINDOW: Window = Window::new(0x8000_0000, 1 << 30);

/// Above it; as much as there is memory on the machines that the kernels run on.
pub const SECOND_WINDOW: Window = Window::new(0xc000_0000, 3 << 28);

// SAFETY: the pool hands out a frame once until it is given back, and only frames that nothing else
// uses; RAM lies below 2 GiB.
unsafe impl FrameSource for FramePool {
    fn take(&mut self) -> Option<PhysAddr> {
        Self::take(self).map(PhysAddr::new)
    }
}

impl FrameReturn for FramePool {
    unsafe fn give_back(&mut self, frame: PhysAddr) {
        Self::give_back(self, frame.value());
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
    // - there is one CPU, and one pair of first-level tables;
    // - the pool's frames lie in RAM, which is mapped at its own addresses;
    // - the kernels touch no word of a table for a heap's window.
    unsafe { Paging::shared(memory) }
}

/// The same as [`machine`], but it leaves the processor to remember what is not there any more.
#[must_use]
pub fn careless_machine(memory: &'static Memory) -> impl Machine {
    machine(memory).with_tlb(Careless)
}

/// Lets the processor remember everything.
struct Careless;

// SAFETY: it is not safe: nothing is forgotten, which is what the one kernel that uses it is for.
unsafe impl Tlb for Careless {
    fn flush(&self, _range: VirtRange) {}
}
