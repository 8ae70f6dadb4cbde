//! Lists of free frames, and the supply of frames that a call works with.

use core::ptr::NonNull;

use archipelago_api::PhysAddr;

use crate::PagingMode;
use crate::alloc::{AllocateFrames, DeallocateFrame};

/// A free list of frames, linked through their own first words: any number of frames, in no memory
/// but their own. Invariant: the list alone uses the frames in it.
///
/// A link is the number of a whole frame, so the low bits, where page-table entries say that they
/// are valid, are 0: a frame that was a table may join a list while a CPU still walks it.
#[derive(Debug)]
pub(crate) struct FrameList {
    /// Meaningless unless `len` is above 0.
    head: PhysAddr,
    len: usize,
}

impl FrameList {
    /// No frames.
    pub(crate) const EMPTY: Self = Self {
        head: PhysAddr::new(0),
        len: 0,
    };

    /// The number of frames in the list.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds `frame`.
    ///
    /// # Safety
    /// - The frame came from the kernel's frame allocator, so `M` reaches it through `tables`.
    /// - Nothing else uses the frame or writes to it.
    pub(crate) unsafe fn push<M: PagingMode<P>, P>(&mut self, tables: &P, frame: PhysAddr) {
        // SAFETY: the caller hands over a frame of the allocator.
        let link = unsafe { link::<M, P>(tables, frame) };
        // SAFETY: the frame is the list's alone, and its memory is aligned for a word.
        unsafe { link.write_volatile(self.head.value()) };
        self.head = frame;
        self.len += 1;
    }

    /// Removes a frame, through the same tables that it was added through.
    pub(crate) fn pop<M: PagingMode<P>, P>(&mut self, tables: &P) -> Option<PhysAddr> {
        self.len = self.len.checked_sub(1)?;
        let frame = self.head;
        // SAFETY: by the invariant the frame is the list's alone, and `push` reached it.
        let link = unsafe { link::<M, P>(tables, frame) };
        // SAFETY: `push` wrote the word, and nothing else writes to frames in the list.
        self.head = PhysAddr::new(unsafe { link.read_volatile() });
        Some(frame)
    }
}

/// The first word of a frame.
///
/// # Safety
/// - `M` reaches the frame through `tables`.
/// - The caller alone uses the frame.
unsafe fn link<M: PagingMode<P>, P>(tables: &P, frame: PhysAddr) -> NonNull<u64> {
    // SAFETY: the caller promises that the frame came from the allocator and is the caller's.
    unsafe { M::memory(tables, frame) }.cast()
}

/// A frame, and whether it came straight from the kernel's allocator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocated {
    pub(crate) frame: PhysAddr,
    pub(crate) fresh: bool,
}

/// The kernel's frame allocator, with the stock of frames that it would not take back.
#[derive(Debug)]
pub(crate) struct Supply<'a, F> {
    pub(crate) allocator: &'a mut F,
    pub(crate) deallocate: Option<DeallocateFrame<F>>,
    pub(crate) stock: &'a mut FrameList,
}

impl<F> Supply<'_, F> {
    /// Allocates a frame, out of the stock while there is one.
    pub(crate) fn allocate<M, P>(&mut self, tables: &P) -> Option<Allocated>
    where
        M: PagingMode<P>,
        M::Frames: AllocateFrames<F>,
    {
        if let Some(frame) = self.stock.pop::<M, P>(tables) {
            return Some(Allocated {
                frame,
                fresh: false,
            });
        }
        let frame = M::Frames::allocate_frame(self.allocator)?;
        Some(Allocated { frame, fresh: true })
    }

    /// Allocates `count` frames.
    ///
    /// # Errors
    /// The number of frames that there were; all of them are free again.
    pub(crate) fn allocate_all<M, P>(
        &mut self,
        tables: &P,
        count: usize,
    ) -> Result<FrameList, usize>
    where
        M: PagingMode<P>,
        M::Frames: AllocateFrames<F>,
    {
        let mut list = FrameList::EMPTY;
        while list.len() < count {
            let Some(Allocated { frame, .. }) = self.allocate::<M, P>(tables) else {
                let available = list.len();
                self.free_all::<M, P>(tables, list);
                return Err(available);
            };
            // SAFETY:
            // - the frame was just allocated;
            // - allocators hand out frames that nothing else uses.
            unsafe { list.push::<M, P>(tables, frame) };
        }
        Ok(list)
    }

    /// Frees a frame: gives it back to the allocator, or stocks it if the allocator takes none.
    ///
    /// # Safety
    /// - The frame was allocated from this supply.
    /// - Nothing uses the frame, and no CPU translates to it.
    pub(crate) unsafe fn free<M: PagingMode<P>, P>(&mut self, tables: &P, frame: PhysAddr) {
        match self.deallocate {
            // SAFETY:
            // - the frame came from this allocator, since the stock holds no other frames;
            // - the caller promises that nothing uses it.
            Some(deallocate) => unsafe { deallocate(self.allocator, frame) },
            // SAFETY:
            // - the caller promises that the frame was allocated here;
            // - the caller promises that nothing uses it.
            None => unsafe { self.stock.push::<M, P>(tables, frame) },
        }
    }

    /// Frees every frame of `list`, which holds frames of this supply. The mode hears of those that
    /// go back to the allocator, because list and tables were written to them.
    pub(crate) fn free_all<M: PagingMode<P>, P>(&mut self, tables: &P, mut list: FrameList) {
        while let Some(frame) = list.pop::<M, P>(tables) {
            if self.deallocate.is_some() {
                // SAFETY: the frame was allocated from this supply, and is the list's no more.
                unsafe { M::leaves(tables, frame) };
            }
            // SAFETY:
            // - the lists of a call hold frames that were allocated from its supply;
            // - the frame was the list's alone, and a list takes only frames that no CPU
            //   translates to.
            unsafe { self.free::<M, P>(tables, frame) };
        }
    }
}
