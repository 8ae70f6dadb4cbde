//! `GlobalAlloc`, for `#[global_allocator]`.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use archipelago_api::{AllocFlags, Kernel, Machine};

use crate::heap::Heap;

// SAFETY: `GlobalAlloc` needs
// - memory for the layout: what `allocate` hands out is Ready, aligned, as large as asked for, and
//   shared with nobody until it is freed;
// - no unwinding: `contained` lets no panic out, should `Kernel::stop` panic.
unsafe impl<M: Machine, K: Kernel> GlobalAlloc for Heap<M, K> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some((start, _)) = self.cpus().alloc_at_once(layout) {
            return start.as_ptr();
        }
        contained(|| pointer_or_null(self.allocate(layout, K::context()).ok()))
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let flags = K::context().union(AllocFlags::ZEROED);
        contained(|| pointer_or_null(self.allocate(layout, flags).ok()))
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller's promise is that of `GlobalAlloc::dealloc`, which is the same.
            contained(|| unsafe { self.deallocate(pointer, layout) });
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(pointer) = NonNull::new(pointer) else {
            return ptr::null_mut();
        };
        // SAFETY: a layout's alignment is a power of two, and the caller promises that the new
        // size, rounded up to it, is at most `isize::MAX`.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the caller's promise is that of `GlobalAlloc::realloc`, which is the same.
        let memory = contained(|| unsafe { self.reallocate(pointer, layout, new, K::context()) });
        pointer_or_null(memory.ok())
    }
}

/// Runs `work`. A panic in it, of a kernel that stops by one, ends the program: it must not unwind
/// through an allocation. Where panics abort this is no code.
#[inline(always)]
extern "C" fn contained<R>(work: impl FnOnce() -> R) -> R {
    work()
}

fn pointer_or_null(memory: Option<NonNull<[u8]>>) -> *mut u8 {
    memory.map_or(ptr::null_mut(), |memory| memory.cast::<u8>().as_ptr())
}
