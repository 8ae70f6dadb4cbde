//! Frame allocators: the traits of a kernel's own, and the interface through which they are used.

use archipelago_api::PhysAddr;

/// A kernel's allocator of frames, each of a granule.
///
/// # Safety
/// An implementor promises that each frame
/// - is aligned to its size;
/// - is memory that the paging mode reaches, and that nothing else uses;
/// - is handed out once, until it is given back.
pub unsafe trait FrameAllocator: Send + 'static {
    /// Allocates a frame; `None` if there is none.
    fn allocate_frame(&mut self) -> Option<PhysAddr>;
}

/// A frame allocator that takes frames back.
pub trait FrameDeallocator: FrameAllocator {
    /// Frees a frame.
    ///
    /// # Safety
    /// - The frame was allocated here.
    /// - Nothing uses the frame.
    unsafe fn deallocate_frame(&mut self, frame: PhysAddr);
}

/// A frame allocator that also supplies adjacent frames, for devices that read and write physical
/// memory. An allocator without this trait loses nothing but
/// [`Machine::commit_adjacent`](archipelago_api::Machine::commit_adjacent).
///
/// # Safety
/// An implementor promises for each frame what [`FrameAllocator`] asks for. Each can be given back
/// alone, like a frame that was allocated alone.
pub unsafe trait AdjacentFrames: Send + 'static {
    /// Allocates `count` adjacent frames, the first of which begins at a multiple of `align` bytes,
    /// a power of two and at least a frame. Returns the first; `None` if there are no such frames.
    fn allocate_adjacent(&mut self, count: usize, align: usize) -> Option<PhysAddr>;
}

/// [`AdjacentFrames::allocate_adjacent`].
pub(crate) type AllocateAdjacent<F> = fn(&mut F, usize, usize) -> Option<PhysAddr>;

/// An interface through which frames of the allocator `F` are allocated. A machine's crate has its
/// own where kernels implement the traits of a customary crate; [`PlainFrames`] is the interface of
/// [`FrameAllocator`].
///
/// # Safety
/// An implementor promises for each frame what [`FrameAllocator`] asks for.
pub unsafe trait AllocateFrames<F>: 'static {
    /// Allocates a frame; `None` if there is none.
    fn allocate_frame(allocator: &mut F) -> Option<PhysAddr>;
}

/// An interface through which frames are given back to the allocator `F`.
pub trait DeallocateFrames<F>: AllocateFrames<F> {
    /// Frees a frame.
    ///
    /// # Safety
    /// - The frame was allocated from this allocator.
    /// - Nothing uses the frame.
    unsafe fn deallocate_frame(allocator: &mut F, frame: PhysAddr);
}

/// [`DeallocateFrames::deallocate_frame`], with its safety contract.
pub(crate) type DeallocateFrame<F> = unsafe fn(&mut F, PhysAddr);

/// The interface of [`FrameAllocator`] and [`FrameDeallocator`].
#[derive(Debug)]
pub enum PlainFrames {}

// SAFETY: `FrameAllocator` asks its implementors for the same.
unsafe impl<F: FrameAllocator> AllocateFrames<F> for PlainFrames {
    fn allocate_frame(allocator: &mut F) -> Option<PhysAddr> {
        allocator.allocate_frame()
    }
}

impl<F: FrameDeallocator> DeallocateFrames<F> for PlainFrames {
    unsafe fn deallocate_frame(allocator: &mut F, frame: PhysAddr) {
        // SAFETY:
        // - the caller promises that the frame was allocated here;
        // - the caller promises that nothing uses it.
        unsafe { allocator.deallocate_frame(frame) };
    }
}
