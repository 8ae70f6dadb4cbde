//! `dlmalloc` over one region, all of which the allocator gets with its first request.
#![no_std]
#![no_main]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use archipelago_code_size::Locked;
use dlmalloc::{Allocator, Dlmalloc};

/// The region, until the allocator asks for it.
struct Region {
    start: AtomicPtr<u8>,
    bytes: AtomicUsize,
}

static REGION: Region = Region {
    start: AtomicPtr::new(ptr::null_mut()),
    bytes: AtomicUsize::new(0),
};

struct OneRegion;

// SAFETY: the region is given to the allocator once.
unsafe impl Allocator for OneRegion {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let bytes = REGION.bytes.load(Ordering::Relaxed);
        if size > bytes {
            return (ptr::null_mut(), 0, 0);
        }
        REGION.bytes.store(0, Ordering::Relaxed);
        (REGION.start.load(Ordering::Relaxed), bytes, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        false
    }

    fn page_size(&self) -> usize {
        4096
    }
}

struct Lea(Locked<Dlmalloc<OneRegion>>);

static HEAP: Lea = Lea(Locked::new(Dlmalloc::new_with_allocator(OneRegion)));

// SAFETY: the allocator keeps the promises, and the lock serialises its calls.
unsafe impl GlobalAlloc for Lea {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the promises of `GlobalAlloc`, on which the allocator's rest.
        unsafe { self.0.lock().malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the promises of `GlobalAlloc`, on which the allocator's rest.
        unsafe { self.0.lock().calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `GlobalAlloc`, on which the allocator's rest.
        unsafe { self.0.lock().free(pointer, layout.size(), layout.align()) };
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: the caller keeps the promises of `GlobalAlloc`, on which the allocator's rest.
        unsafe { self.0.lock().realloc(pointer, size, align, new_size) }
    }
}

#[unsafe(no_mangle)]
extern "C" fn init(start: *mut u8, bytes: usize) {
    REGION.start.store(start, Ordering::Relaxed);
    REGION.bytes.store(bytes, Ordering::Relaxed);
}

archipelago_code_size::exports!(HEAP);
