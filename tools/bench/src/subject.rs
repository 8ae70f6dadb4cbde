//! The trait of allocators that measurements drive, and the heap as one of them.

use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use archipelago::{AllocFlags, Heap, Stats};
use archipelago_flat::{Flat, FlatHeap, Shape};
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::{Rig, lone_window};

use crate::{PAGE, class_sizes};

/// An allocator that a measurement drives.
pub trait Subject {
    /// The allocator's name in tables.
    const NAME: &'static str;

    /// Allocates; `None` when memory is exhausted.
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>>;

    /// Frees a live object.
    ///
    /// # Safety
    /// `pointer` was allocated by this subject with `layout`, and is used no more.
    unsafe fn free(&mut self, pointer: NonNull<u8>, layout: Layout);

    /// Bytes of memory that the subject has at its disposal or has taken so far, its own metadata
    /// included.
    fn memory_bytes(&self) -> usize;
}

/// The heap on a simulated machine.
#[derive(Debug)]
pub struct Archipelago<G: SimGeometry> {
    rig: Rig<G>,
}

impl<G: SimGeometry> Archipelago<G> {
    /// A heap on a machine of `bytes` bytes of frames, in a window that is never the limit.
    #[must_use]
    pub fn with_memory(bytes: usize) -> Self {
        let frames = bytes / G::GEOMETRY.granule_bytes();
        // Accesses to memory that is not Ready are not measured here.
        let machine = Sim::builder().frames(frames).traps(false).build();
        let window = lone_window::<G>(16 * G::GEOMETRY.arena_bytes());
        Self {
            rig: Rig::on(machine, &[window]),
        }
    }

    /// A heap in a window of `bytes` bytes, on a machine whose frames are never the limit.
    #[must_use]
    pub fn in_window(bytes: usize) -> Self {
        let machine = Sim::builder().traps(false).build();
        Self {
            rig: Rig::on(machine, &[lone_window::<G>(bytes)]),
        }
    }

    /// The sizes of the heap's classes, as [`class_sizes`].
    #[must_use]
    pub fn class_sizes(&self) -> Vec<usize> {
        class_sizes(&self.rig.heap)
    }

    /// The heap's account.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.rig.heap.stats()
    }
}

impl<G: SimGeometry> Subject for Archipelago<G> {
    const NAME: &'static str = "archipelago";

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let memory = self.rig.heap.allocate(layout, AllocFlags::empty());
        memory.ok().map(NonNull::cast)
    }

    unsafe fn free(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller passes a live object of this heap with its layout.
        unsafe { self.rig.heap.deallocate(pointer, layout) };
    }

    fn memory_bytes(&self) -> usize {
        self.stats().mapped_ready
    }
}

/// A heap without an MMU, and the block of memory that it is in.
#[derive(Debug)]
pub struct FlatBlock<S: Shape> {
    // Dropped before its memory.
    heap: FlatHeap<Hosted, S>,
    memory: Box<[MaybeUninit<u8>]>,
}

impl<S: Shape> FlatBlock<S> {
    /// A heap in a block of `bytes` bytes that begins at a page.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let mut memory = vec![MaybeUninit::uninit(); bytes + PAGE].into_boxed_slice();
        let skipped = memory.as_ptr().align_offset(PAGE);
        let heap = FlatHeap::empty();
        let start = memory[skipped..].as_mut_ptr().cast();
        // SAFETY: the memory is the heap's alone, which is gone before it.
        unsafe { heap.init(start, bytes) }.expect("a good block");
        Self { heap, memory }
    }

    /// The heap.
    #[must_use]
    pub const fn heap(&self) -> &Heap<Flat<S, 2>, Hosted> {
        self.heap.heap()
    }

    /// The sizes of the heap's classes, as [`class_sizes`].
    #[must_use]
    pub fn class_sizes(&self) -> Vec<usize> {
        class_sizes(self.heap())
    }
}

impl<S: Shape> Subject for FlatBlock<S> {
    const NAME: &'static str = "archipelago-flat";

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let memory = self.heap.allocate(layout, AllocFlags::empty());
        memory.ok().map(NonNull::cast)
    }

    unsafe fn free(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller passes a live object of this heap with its layout.
        unsafe { self.heap.deallocate(pointer, layout) };
    }

    fn memory_bytes(&self) -> usize {
        self.memory.len() - PAGE
    }
}
