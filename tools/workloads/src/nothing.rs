//! The heap that does nothing.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;

/// A heap whose blocks have an address and no memory. What a workload costs on it is what the
/// harness costs.
#[derive(Debug)]
pub struct Nothing;

// SAFETY: none of its own: the harness touches no block.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ptr::without_provenance_mut(layout.align())
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ptr::without_provenance_mut(layout.align())
    }

    unsafe fn realloc(&self, pointer: *mut u8, _: Layout, _: usize) -> *mut u8 {
        pointer
    }
}
