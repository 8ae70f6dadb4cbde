//! Layer 9: the front ends.
//!
//! `GlobalAlloc` for `#[global_allocator]`, and `Allocator` for collections that name their heap
//! (feature `allocator-api2`). Both turn the heap's answers into theirs and add nothing.

#[cfg(feature = "allocator-api2")]
mod allocator;
mod front;

pub use front::{alloc_at_once, alloc_slowly, alloc_soon, alloc_zeroed_slowly};
