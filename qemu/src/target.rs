//! Allocators as a kernel calls them.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::ptr::NonNull;

use archipelago_traces::replay::Target;

/// An allocator, called as the compiler calls a `#[global_allocator]`.
#[derive(Debug)]
pub struct Plain<'a, A>(pub &'a A);

// SAFETY: every call is the allocator's own.
unsafe impl<A: GlobalAlloc> Target for Plain<'_, A> {
    #[inline]
    fn allocate(&mut self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        let block = if zeroed {
            // SAFETY: the size is never 0.
            unsafe { self.0.alloc_zeroed(layout) }
        } else {
            // SAFETY: the size is never 0.
            unsafe { self.0.alloc(layout) }
        };
        NonNull::new(block)
    }

    #[inline]
    unsafe fn reallocate(
        &mut self,
        pointer: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller makes the promises of `GlobalAlloc::realloc`.
        NonNull::new(unsafe { self.0.realloc(pointer.as_ptr(), layout, new_size) })
    }

    #[inline]
    unsafe fn deallocate(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller makes the promises of `GlobalAlloc::dealloc`.
        unsafe { self.0.dealloc(pointer.as_ptr(), layout) };
    }
}

/// Blocks that a handler has at once, at most.
const SLOTS: usize = 24;

/// Sizes that a handler asks for in turn: small, a page, and a large object.
const SIZES: [usize; 7] = [16, 48, 200, 1500, 4096, 9000, 40_000];

/// The requests of a handler: each turn it checks the block of one slot, allocates another in its
/// place, and frees the first.
pub struct Churn<A: 'static> {
    allocator: &'static A,
    blocks: [Option<(NonNull<u8>, Layout)>; SLOTS],
    /// Requests that were served.
    pub served: usize,
    /// Requests that were refused.
    pub refused: usize,
}

// SAFETY: the blocks are the churn's alone, wherever it is, and the allocator can be shared.
unsafe impl<A: Sync> Send for Churn<A> {}

impl<A> fmt::Debug for Churn<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (served, refused) = (self.served, self.refused);
        write!(f, "{served} requests served, {refused} refused")
    }
}

impl<A: GlobalAlloc> Churn<A> {
    /// No turn was taken yet.
    #[must_use]
    pub const fn new(allocator: &'static A) -> Self {
        Self {
            allocator,
            blocks: [None; SLOTS],
            served: 0,
            refused: 0,
        }
    }

    /// Takes a turn.
    ///
    /// # Panics
    /// If a block does not hold the bytes that it was filled with.
    pub fn turn(&mut self) {
        let turn = self.served.wrapping_add(self.refused);
        let slot = turn % SLOTS;
        let layout = Layout::from_size_align(SIZES[turn % SIZES.len()], 8);
        let layout = layout.expect("a small size");
        // SAFETY: the size is not 0.
        let block = NonNull::new(unsafe { self.allocator.alloc(layout) });
        match block {
            Some(block) => {
                // SAFETY: the block is that large, and new.
                unsafe { block.write_bytes(mark(slot), layout.size()) };
                self.served += 1;
            }
            None => self.refused += 1,
        }
        self.free(slot);
        self.blocks[slot] = block.map(|block| (block, layout));
    }

    /// Checks and frees all blocks.
    ///
    /// # Panics
    /// As [`turn`](Self::turn).
    pub fn free_all(&mut self) {
        (0..SLOTS).for_each(|slot| self.free(slot));
    }

    fn free(&mut self, slot: usize) {
        let Some((block, layout)) = self.blocks[slot].take() else {
            return;
        };
        // SAFETY: the block is this one's alone, and `turn` filled all of it.
        let bytes = unsafe { core::slice::from_raw_parts(block.as_ptr(), layout.size()) };
        let is_whole = bytes.iter().all(|byte| *byte == mark(slot));
        assert!(is_whole, "the block at {block:p} was written to");
        // SAFETY: the block was allocated with this layout, and nothing uses it any more.
        unsafe { self.allocator.dealloc(block.as_ptr(), layout) };
    }
}

/// The byte that fills the block of a slot.
fn mark(slot: usize) -> u8 {
    u8::try_from(slot).expect("there are few slots")
}
