//! The memory of the heap bitmap, and models of its withdrawal.

#[path = "../../../../src/pageheap/bitmap/mod.rs"]
mod bitmap;
mod heap;
pub mod withdrawal;

pub(crate) use heap::{PAGES, SmallHeap};
