//! The heap's machine where memory comes in frames: what all such machines make of the kernel's
//! page tables and frame pool.

use archipelago::Window;
use archipelago_api::{Machine, PhysAddr, VirtRange};
use archipelago_paging::{AdjacentFrames, FrameAllocator, FrameDeallocator, Tlb};

use crate::frames::FramePool;
use crate::machine::{
    BOTTOM_WINDOW, HEAP_WINDOW, HeapMachine, SECOND_WINDOW, TOP_WINDOW, holding_machine,
};
use crate::shared::Memory;
use crate::windows::ScannablePlace;

/// Metadata for a heap of several MiB.
const METADATA_BYTES: usize = 8 << 20;

/// Where two arenas meet, far from metadata.
const BOUNDARY: usize = SECOND_WINDOW.base + 4 * HeapMachine::GEOMETRY.arena_bytes();

/// Where scannable objects go: heaps whose windows share no page table.
pub const SCANNABLE_PLACES: &[ScannablePlace] = &[
    ScannablePlace {
        name: "where two windows and two arenas meet",
        windows: &[
            Window::for_metadata(SECOND_WINDOW.base, METADATA_BYTES),
            Window::new(BOUNDARY - (1 << 20), 1 << 20),
            Window::new(BOUNDARY, 1 << 20),
        ],
        long: 5 << 18,
        boundaries: 1,
    },
    ScannablePlace {
        name: "at both ends of the space",
        windows: &[
            Window::for_metadata(HEAP_WINDOW.base, METADATA_BYTES),
            Window::new(BOTTOM_WINDOW.base, 1 << 20),
            Window::new(TOP_WINDOW.base + (TOP_WINDOW.bytes - (1 << 20)), 1 << 20),
        ],
        long: 3 << 18,
        boundaries: 0,
    },
];

/// A machine over the shared page tables and frames, which gives frames back that it does not need
/// and supplies adjacent ones. There may be several, each with windows that share no page table
/// with another's.
#[must_use]
pub fn machine(memory: &'static Memory) -> HeapMachine {
    holding_machine(memory).returning().adjacent()
}

/// Like [`machine`], but never invalidates the TLB: stale translations, and stale misses, survive.
#[must_use]
pub fn machine_without_invalidation(memory: &'static Memory) -> impl Machine {
    machine(memory).with_tlb(NoInvalidate)
}

/// TLB maintenance that invalidates nothing.
struct NoInvalidate;

// SAFETY: the implementation breaks the contract on purpose. The one kernel that uses it probes
// for stale translations, and accesses no memory of the machine's in any other way.
unsafe impl Tlb for NoInvalidate {
    fn flush(&self, _range: VirtRange) {}

    fn filled(&self, _range: VirtRange) {}
}

// SAFETY: the pool hands out a frame once until it is given back, and only frames that nothing else
// uses.
unsafe impl FrameAllocator for FramePool {
    fn allocate_frame(&mut self) -> Option<PhysAddr> {
        self.take().map(PhysAddr::new)
    }
}

impl FrameDeallocator for FramePool {
    unsafe fn deallocate_frame(&mut self, frame: PhysAddr) {
        self.give_back(frame.value());
    }
}

// SAFETY: as for single frames; the pool takes each one back alone.
unsafe impl AdjacentFrames for FramePool {
    fn allocate_adjacent(&mut self, count: usize, align: usize) -> Option<PhysAddr> {
        self.take_adjacent(count, align).map(PhysAddr::new)
    }
}
