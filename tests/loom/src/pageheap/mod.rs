//! The memory of the heap bitmap, and models of its withdrawal.

#[path = "../../../../src/pageheap/bitmap/mod.rs"]
mod bitmap;
mod heap;
#[path = "../../../../src/pageheap/run.rs"]
mod run;
pub mod withdrawal;

pub(crate) use heap::{PAGES, SmallHeap};
