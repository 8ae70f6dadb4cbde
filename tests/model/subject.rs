//! What the model drives: the heap, or one that a fault was planted in.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{AllocError, AllocFlags, Heap, Kernel, Machine};

/// Something that hands out memory as a heap does.
pub(crate) trait Subject {
    /// As [`Heap::allocate`].
    fn allocate(&self, layout: Layout, flags: AllocFlags) -> Result<NonNull<[u8]>, AllocError>;

    /// As [`Heap::deallocate`].
    ///
    /// # Safety
    /// The same.
    unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout);

    /// As [`Heap::reallocate`].
    ///
    /// # Safety
    /// The same.
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
        // SAFETY: the caller's promise is the same.
        unsafe { Heap::deallocate(self, pointer, layout) };
    }

    unsafe fn reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise is the same.
        unsafe { Heap::reallocate(self, pointer, old, new, flags) }
    }
}
