//! One request after the other, of any heap.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Allocate,
    AllocateZeroed,
    Reallocate,
    Free,
}

/// A request: of the block in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    kind: Kind,
    log2_align: u8,
    slot: u32,
    /// Bytes of the block, before the request if there is one before.
    size: u32,
    /// Bytes of the block after a reallocation.
    new_size: u32,
}

impl Action {
    /// Allocates a block of `layout`, and puts it into an empty slot.
    ///
    /// # Panics
    /// If the numbers do not fit 32 bits, or the layout is of no bytes.
    #[must_use]
    pub fn allocate(slot: usize, layout: Layout, zeroed: bool) -> Self {
        let kind = if zeroed {
            Kind::AllocateZeroed
        } else {
            Kind::Allocate
        };
        Self::new(kind, slot, layout, layout.size())
    }

    /// Changes the size of the block in a slot, which is of `layout`.
    ///
    /// # Panics
    /// As [`allocate`](Self::allocate).
    #[must_use]
    pub fn reallocate(slot: usize, layout: Layout, new_size: usize) -> Self {
        Self::new(Kind::Reallocate, slot, layout, new_size)
    }

    /// Frees the block in a slot, which is of `layout`.
    ///
    /// # Panics
    /// As [`allocate`](Self::allocate).
    #[must_use]
    pub fn free(slot: usize, layout: Layout) -> Self {
        Self::new(Kind::Free, slot, layout, layout.size())
    }

    fn new(kind: Kind, slot: usize, layout: Layout, new_size: usize) -> Self {
        assert!(layout.size() > 0 && new_size > 0, "a block has bytes");
        let number = |value: usize| u32::try_from(value).expect("a small number");
        Self {
            kind,
            log2_align: u8::try_from(layout.align().trailing_zeros()).expect("a layout's"),
            slot: number(slot),
            size: number(layout.size()),
            new_size: number(new_size),
        }
    }

    /// The slot of the block.
    #[must_use]
    pub fn slot(&self) -> usize {
        self.slot as usize
    }

    /// The layout of the block after the request.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let layout = Layout::from_size_align(self.new_size as usize, 1 << self.log2_align);
        layout.expect("it was made of a layout")
    }

    /// Whether there is no block in the slot after the request.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.kind == Kind::Free
    }
}

/// The blocks that are live, each in its slot.
#[derive(Debug)]
pub struct Slots(Vec<*mut u8>);

// SAFETY: blocks of a heap belong to no thread.
unsafe impl Send for Slots {}

impl Slots {
    /// So many empty slots.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(vec![ptr::null_mut(); count])
    }

    /// The block in a slot; null if there is none.
    #[must_use]
    pub fn block(&self, slot: usize) -> *mut u8 {
        self.0[slot]
    }

    /// Makes requests, one after the other. `actions` are those of one heap's blocks from the first
    /// on that filled these slots: an allocation finds its slot empty, and the others find the
    /// block that was allocated with the layout they name.
    ///
    /// # Panics
    /// If a request is refused.
    #[inline(always)]
    pub(crate) fn execute(&mut self, heap: &dyn GlobalAlloc, actions: &[Action]) {
        for action in actions {
            let place = &mut self.0[action.slot as usize];
            let align = 1 << action.log2_align;
            // SAFETY: size and alignment are those of a layout.
            let layout = unsafe { Layout::from_size_align_unchecked(action.size as usize, align) };
            *place = match action.kind {
                // SAFETY: no layout is of no bytes.
                Kind::Allocate => unsafe { heap.alloc(layout) },
                // SAFETY: no layout is of no bytes.
                Kind::AllocateZeroed => unsafe { heap.alloc_zeroed(layout) },
                Kind::Reallocate => {
                    // SAFETY:
                    // - the block in the slot is of this heap and of this layout;
                    // - the new size is not 0, and makes a layout.
                    unsafe { heap.realloc(*place, layout, action.new_size as usize) }
                }
                Kind::Free => {
                    // SAFETY: the block in the slot is of this heap and of this layout, and is
                    // forgotten below.
                    unsafe { heap.dealloc(*place, layout) };
                    continue;
                }
            };
            assert!(!place.is_null(), "a request was refused");
        }
    }
}
