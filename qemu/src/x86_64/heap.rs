//! The heap's machine: over the boot code's page tables and frame pool.

use archipelago::Window;
use archipelago_x86_64::Paging;
use x86_64::structures::paging::OffsetPageTable;

use super::paging::PHYSMAP_BYTES;
use crate::frames::FramePool;
use crate::shared::Memory;

/// The page tables in use, through the physmap.
pub type Mapper = OffsetPageTable<'static>;

/// The source of frames.
pub type Frames = FramePool;

/// The heap's machine.
pub type HeapMachine = Paging<Mapper, Frames, &'static Memory>;

/// As much of a window as there can be memory: what runs out first is frames.
#[expect(
    clippy::cast_possible_truncation,
    reason = "this machine's words have 64 bits"
)]
const WINDOW_BYTES: usize = PHYSMAP_BYTES as usize;

/// The start of the upper half.
pub const HEAP_WINDOW: Window = Window::new(0xffff_8000_0000_0000, WINDOW_BYTES);

/// Under another level-4 entry.
pub const SECOND_WINDOW: Window = Window::new(HEAP_WINDOW.base + (1 << 40), WINDOW_BYTES);

/// A machine over the shared page tables and frames, which holds the frames that it needs no more.
#[must_use]
pub fn holding_machine(memory: &'static Memory) -> HeapMachine {
    // SAFETY:
    // - a reference leads to the same mapper and frames always;
    // - there is one CPU and one level-4 table, the mapper's, without process-context identifiers;
    // - the pool's frames lie in the physmap, where the mapper says, which is not at address 0;
    // - the entry code sets `EFER.NXE`;
    // - the kernels touch no page-table entry of a heap's window.
    unsafe { Paging::shared_on_one_cpu(memory) }
}
