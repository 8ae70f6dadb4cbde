//! `rlsf` with 12 × 16 lists, under a lock of ours: the crate brings none.
#![no_std]
#![no_main]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use archipelago_code_size::Locked;
use rlsf::Tlsf;

struct Fits(Locked<Tlsf<'static, u16, u16, 12, 16>>);

static HEAP: Fits = Fits(Locked::new(Tlsf::new()));

// SAFETY: the allocator keeps the promises, and the lock serialises its calls.
unsafe impl GlobalAlloc for Fits {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.0.lock().allocate(layout);
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller keeps the promises of `GlobalAlloc`, on which the allocator's
            // rest.
            unsafe { self.0.lock().deallocate(pointer, layout.align()) };
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY:
        // - The alignment is that of a layout.
        // - The caller passes a size that does not overflow when it is rounded up to the alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let Some(pointer) = NonNull::new(pointer) else {
            return ptr::null_mut();
        };
        // SAFETY: the caller keeps the promises of `GlobalAlloc`, on which the allocator's rest.
        let block = unsafe { self.0.lock().reallocate(pointer, new) };
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: NonNull<u8>, bytes: usize) -> bool {
    let block = NonNull::slice_from_raw_parts(start, bytes);
    // SAFETY: the caller gives the bytes to the heap, and nothing else uses them.
    unsafe { HEAP.0.lock().insert_free_block_ptr(block) }.is_some()
}

archipelago_code_size::exports!(HEAP);
