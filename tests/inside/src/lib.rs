//! The heap from inside: the modules of `src`, doors into single layers, and variants of single
//! modules to measure.
//!
//! The published crate has neither features nor doors for that. A module here is the file of the
//! library, except for the few that this crate replaces:
//!
//! - `page` has one more file, which fills a page layer with a pattern;
//! - with the feature `flat-index`, `arena` has one array of arenas instead of two sparse levels;
//! - with the feature `flat-bits`, `arena` and `span` find the heap bitmap in one array.
//!
//! A program that measures a variant takes this crate under the name `archipelago`.
#![no_std]
// The tests of these modules are the library's.
#![cfg(not(test))]
#![cfg_attr(
    any(feature = "flat-bits", feature = "flat-index"),
    expect(dead_code, reason = "an array replaces sparse tables")
)]

extern crate alloc;

mod arena;
#[path = "../../../src/base/mod.rs"]
mod base;
#[cfg(feature = "heap-bits")]
#[path = "../../../src/bits/mod.rs"]
pub mod bits;
#[cfg(not(feature = "heap-bits"))]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a heap without a bitmap uses the sizes alone"
)]
#[path = "../../../src/bits"]
mod bits {
    pub(crate) mod format;
}
#[path = "../../../src/global/mod.rs"]
mod global;
#[path = "../../../src/heap/mod.rs"]
mod heap;
#[path = "../../../src/inspect/mod.rs"]
mod inspect;
mod page;
#[path = "../../../src/pageheap/mod.rs"]
mod pageheap;
#[path = "../../../src/region/mod.rs"]
mod region;
#[cfg(not(feature = "flat-bits"))]
#[path = "../../../src/span/mod.rs"]
mod span;
#[cfg(feature = "flat-bits")]
mod span;
pub mod testing;

pub use archipelago_api::{
    AllocFlags, CpuId, CpuSlot, Fault, InterruptState, Kernel, Machine, PhysAddr, Reentry, Report,
    SpanReport, VirtAddr, VirtRange, context, kernels,
};
pub use global::{alloc_at_once, alloc_slowly, alloc_soon, alloc_zeroed_slowly};
pub use heap::{AdjacentRun, AllocError, EarlyRegion, Heap, Missed, OwnedRun, Pages, ReallocError};
pub use inspect::{ArenaView, ChunkView, PageStats, SpanView, Stats, Violation};
#[cfg(feature = "heap-bits")]
pub use inspect::{BitsPartView, BitsView, ObjectView};
pub use pageheap::{InitError, InitFailure, Window, WindowRule};
pub use region::{Cause, Purpose};
