//! `Allocator`, for collections that name their heap.

use core::alloc::Layout;
use core::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};
use archipelago_api::{AllocFlags, Kernel, Machine};

use crate::heap::Heap;

// SAFETY: blocks stay valid until they are freed, wherever the reference to the heap moves: a heap
// is not moved while it is borrowed, and its memory is its machine's, not its own.
unsafe impl<M: Machine, K: Kernel> Allocator for &Heap<M, K> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        Heap::allocate(self, layout, K::context()).map_err(|_| AllocError)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        Heap::allocate(self, layout, K::context().union(AllocFlags::ZEROED)).map_err(|_| AllocError)
    }

    unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { Heap::deallocate(self, pointer, layout) };
    }

    unsafe fn grow(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.reallocate(pointer, old, new, K::context()) }.map_err(|_| AllocError)
    }

    unsafe fn grow_zeroed(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let flags = K::context().union(AllocFlags::ZEROED);
        // SAFETY: the caller's promise is the same.
        unsafe { self.reallocate(pointer, old, new, flags) }.map_err(|_| AllocError)
    }

    unsafe fn shrink(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.reallocate(pointer, old, new, K::context()) }.map_err(|_| AllocError)
    }
}
