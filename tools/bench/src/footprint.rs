//! The cost of a heap without an MMU, where address space is memory: every byte of its block that
//! no object can have.

use core::alloc::Layout;

use archipelago::Cause;
use archipelago_flat::{AllocFlags, FlatHeap, Shape};
use archipelago_sim::Hosted;

use crate::Block;

/// Bytes of a block that objects cannot have, and the heap's static beside it.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// Bytes of the block.
    pub block: usize,
    /// Bytes lost after the first allocation: to metadata, to bookkeeping, to whole pages, and to
    /// address space that is kept for more metadata.
    pub fresh: usize,
    /// Bytes lost when the block is full of objects of 32 bytes, rests of pages included.
    pub full: usize,
    /// Bytes of the heap itself, beside the block.
    pub heap: usize,
}

impl Footprint {
    /// The share of the block that is lost after the first allocation.
    #[must_use]
    pub fn fresh_share(&self) -> f64 {
        share(self.fresh, self.block)
    }

    /// The share of the block that is lost when it is full.
    #[must_use]
    pub fn full_share(&self) -> f64 {
        share(self.full, self.block)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn share(lost: usize, block: usize) -> f64 {
    lost as f64 / block as f64
}

/// The footprint of a heap of shape `S` in a block of `bytes` bytes, with all of its metadata
/// inside. The host's pointers are counted as they are.
#[must_use]
pub fn footprint<S: Shape>(bytes: usize) -> Footprint {
    let heap = made::<S>(bytes);
    let first = Layout::new::<u64>();
    heap.allocate(first, AllocFlags::empty()).expect("memory");
    let pages = heap.stats().owned_pages - heap.stats().free_pages;
    let fresh = bytes - pages * S::GEOMETRY.page_bytes() - largest(&heap, bytes);

    Footprint {
        block: bytes,
        fresh,
        full: full::<S>(bytes, |heap, small| {
            heap.allocate(small, AllocFlags::empty()).is_ok()
        }),
        heap: size_of::<FlatHeap<Hosted, S>>(),
    }
}

/// Bytes of a block of `bytes` bytes that objects do not have when it is full of objects of 32
/// bytes, each of which `allocate` takes from the heap while there is room.
#[must_use]
pub fn full<S: Shape>(
    bytes: usize,
    mut allocate: impl FnMut(&FlatHeap<Hosted, S>, Layout) -> bool,
) -> usize {
    let heap = made::<S>(bytes);
    let small = Layout::new::<[u64; 4]>();
    let mut objects = 0;
    while allocate(&heap, small) {
        objects += 1;
    }
    bytes - objects * small.size()
}

fn made<S: Shape>(bytes: usize) -> FlatHeap<Hosted, S> {
    let memory = Block::new(bytes).into_memory();
    let heap = FlatHeap::empty();
    // SAFETY: the memory is the heap's, for ever.
    let given = unsafe { heap.init(memory.as_mut_ptr().cast(), memory.len()) };
    given.expect("a good block");
    heap
}

/// The bytes of the largest object that the heap has room for, in whole pages.
fn largest<S: Shape>(heap: &FlatHeap<Hosted, S>, most: usize) -> usize {
    let mut bytes = most;
    loop {
        let layout = Layout::from_size_align(bytes, 1).expect("a layout");
        match heap
            .allocate(layout, AllocFlags::empty())
            .map_err(|error| error.cause)
        {
            Ok(memory) => return memory.len(),
            Err(Cause::Window { largest, .. }) if largest < bytes => bytes = largest,
            Err(_) => bytes -= S::GEOMETRY.page_bytes(),
        }
    }
}
