//! The subject of the model: the heap, or a heap with a planted fault.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{AllocError, AllocFlags, Heap, Kernel, Machine};

/// An allocator with the interface of the heap.
pub(crate) trait Subject {
    /// As [`Heap::allocate`].
    fn allocate(&self, layout: Layout, flags: AllocFlags) -> Result<NonNull<[u8]>, AllocError>;

    /// As [`Heap::deallocate`].
    ///
    /// # Safety
    /// As for [`Heap::deallocate`].
    unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout);

    /// As [`Heap::reallocate`].
    ///
    /// # Safety
    /// As for [`Heap::reallocate`].
    unsafe fn reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError>;
}

impl<M: Machine, K: Kernel> Subject for Heap<M, K> {
    fn allocate(&self, layout: Layout, flags: AllocFlags) -> Result<NonNull<[u8]>, AllocError> {
        Heap::allocate(self, layout, flags)
    }

    unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        unsafe { Heap::deallocate(self, pointer, layout) };
    }

    unsafe fn reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        unsafe { Heap::reallocate(self, pointer, old, new, flags) }
    }
}
