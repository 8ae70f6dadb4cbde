//! The `archipelago` heap on machines without an MMU.
//!
//! [`FlatHeap`] is the heap over given RAM: one region or several, of any length, anywhere, also at
//! address 0. A firmware has one in a static, as its `#[global_allocator]`; a
//! kernel that keeps a heap for each of its processes has many.
//!
//! ```
//! use archipelago_flat::{FlatHeap, Region, Small, occupied};
//! # use archipelago_sim::Hosted as MyKernel;
//!
//! /// Up to 1 MiB of RAM, in pages of 1 KiB.
//! // #[global_allocator]
//! static HEAP: FlatHeap<MyKernel, Small<21, 10>> = FlatHeap::empty();
//!
//! # let mut ram = vec![0u8; 100_000];
//! # let (free_ram, bytes) = (ram.as_mut_ptr(), ram.len());
//! # let (statics_start, statics_end) = ([].as_ptr(), [].as_ptr());
//! // The linker script leaves these bytes to the heap.
//! let statics = [occupied(statics_start, statics_end)];
//! unsafe { HEAP.init_regions(&[Region::new(free_ram, bytes)], &statics) }?;
//! # std::mem::forget(ram);
//! # Ok::<(), archipelago_flat::FlatError>(())
//! ```
//!
//! # The regions
//! [`Flat`] is the machine underneath. Address space *is* memory here: reserving takes from the
//! regions, preparing and committing are bookkeeping, two bits a granule, in the regions
//! themselves. Regions are cut to whole granules; the granule at address 0 and the last one of the
//! address space hold no objects. Memory is reported zeroed only where the caller says so of a
//! region, and only once.
//!
//! A bad region is an error that names the region and its conflict.
//!
//! # Kernels
//! With the feature `critical-section` (on by default), [`CriticalSection`] masks interrupts on any
//! core that has an implementation of the `critical-section` crate.
#![no_std]

#[cfg(test)]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod heap;
mod machine;
#[cfg(feature = "critical-section")]
mod own_memory;
mod plan;
mod region;
mod shape;
mod states;

#[cfg(feature = "critical-section")]
pub use archipelago_api::CriticalSection;
pub use archipelago_api::context::{
    Context, HandlerDepth, HandlerGuard, Handlers, HandlersOf, Ordinary, PerCpu,
};
pub use archipelago_api::kernels;
pub use archipelago_api::{
    AllocFlags, CpuId, Fault, Geometry, IndexWord, InterruptState, Kernel, Reentry, Report,
};
pub use archipelago_api::{OneBlock, OwnMemory};
pub use heap::{FlatError, FlatHeap};
pub use machine::Flat;
#[cfg(feature = "critical-section")]
pub use own_memory::{Page, address_bits, page_shift};
pub use region::{Region, RegionError, occupied};
pub use shape::{Shape, Small};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
