//! The heap's machine: over the boot code's page tables and frame pool.

use archipelago::Window;
use archipelago_arm::{Broadcast, Maintenance, Paging, Roots};

use super::paging::everywhere;
use crate::frames::FramePool;
use crate::shared::Memory;

/// The page tables in use.
pub type Mapper = Roots;

/// The source of frames.
pub type Frames = FramePool;

/// The heap's machine.
pub type HeapMachine = Paging<Mapper, Frames, &'static Memory, Maintenance<Broadcast>>;

/// From where TTBR1 translates on, as much as there can be memory: what runs out first is frames.
pub const HEAP_WINDOW: Window = Window::new(0x8000_0000, 1 << 30);

/// Above it; as much as there is memory on the machines that the kernels run on.
pub const SECOND_WINDOW: Window = Window::new(0xc000_0000, 3 << 28);

/// A machine over the shared page tables and frames, which holds the frames that it needs no more.
#[must_use]
pub fn holding_machine(memory: &'static Memory) -> HeapMachine {
    // SAFETY:
    // - a reference leads to the same tables and frames always;
    // - there is one CPU, and one pair of first-level tables;
    // - the pool's frames lie in RAM, which is mapped at its own addresses and ends below 2 GiB;
    // - the kernels touch no word of a table for a heap's window.
    let machine = unsafe { Paging::shared(memory) };
    machine.with_tlb(everywhere())
}
