//! A heap for kernels, hypervisors, unikernels and firmware.
#![no_std]

#[cfg(not(loom))]
mod arena;
mod base;
#[cfg(not(loom))]
mod global;
#[cfg(not(loom))]
mod heap;
#[cfg(not(loom))]
mod page;
#[cfg(not(loom))]
mod region;
#[cfg(not(loom))]
mod span;
#[cfg(all(any(test, feature = "testing"), not(loom)))]
#[doc(hidden)]
pub mod testing;

#[cfg(all(any(test, feature = "testing"), not(loom)))]
extern crate alloc;
#[cfg(all(test, not(loom)))]
extern crate std;

#[cfg(not(loom))]
pub use archipelago_api::{AllocFlags, Fault, Kernel, Machine, Report, VirtAddr, VirtRange};
#[cfg(not(loom))]
pub use heap::{
    AllocError, ChunkView, EarlyRegion, Heap, InitError, InitFailure, SpanView, Stats, Violation,
    Window, WindowRule,
};
#[cfg(not(loom))]
pub use region::{Cause, Purpose};
