//! The subject of the model: the heap, or a heap with a planted fault.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{AllocError, AllocFlags, Heap, Kernel, Machine, OwnedRun};

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

    /// Allocates a run as [`Pages::allocate`](archipelago::Pages::allocate), and leaks it.
    fn allocate_run(
        &self,
        count: usize,
        align: usize,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError>;

    /// Extends a run as [`OwnedRun::extend`]. If that is refused, the run is as it was.
    ///
    /// # Safety
    /// `run` is a live run of this subject; the returned one takes its place.
    unsafe fn extend_run(
        &self,
        run: NonNull<[u8]>,
        more: usize,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError>;

    /// Shrinks a run as [`OwnedRun::shrink`].
    ///
    /// # Safety
    /// `run` is a live run of this subject; the returned one takes its place.
    unsafe fn shrink_run(&self, run: NonNull<[u8]>, count: usize) -> NonNull<[u8]>;

    /// Frees a run by dropping it.
    ///
    /// # Safety
    /// `run` is a live run of this subject, and is used no more.
    unsafe fn free_run(&self, run: NonNull<[u8]>);
}

/// Recovers a run that [`OwnedRun::leak`] gave up.
///
/// # Safety
/// `run` is a live run of `heap`, and is not recovered again while the result lives.
unsafe fn recovered<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    run: NonNull<[u8]>,
) -> OwnedRun<'_, M, K> {
    // SAFETY:
    // - the caller promises that the run is of this heap, and runs are leaked between operations;
    // - the caller promises that it is recovered once.
    let run = unsafe { heap.pages().recover(run) };
    run.expect("a run of this heap")
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

    fn allocate_run(
        &self,
        count: usize,
        align: usize,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let run = self.pages().allocate(count, align, flags)?;
        Ok(run.leak())
    }

    unsafe fn extend_run(
        &self,
        run: NonNull<[u8]>,
        more: usize,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        let mut run = unsafe { recovered(self, run) };
        let extended = run.extend(more, flags);
        let memory = run.leak();
        extended.map(|()| memory)
    }

    unsafe fn shrink_run(&self, run: NonNull<[u8]>, count: usize) -> NonNull<[u8]> {
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        let mut run = unsafe { recovered(self, run) };
        run.shrink(count);
        run.leak()
    }

    unsafe fn free_run(&self, run: NonNull<[u8]>) {
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        drop(unsafe { recovered(self, run) });
    }
}
