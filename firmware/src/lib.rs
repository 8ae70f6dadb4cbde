//! A heap for firmware: a few kilobytes of code, a control block of less than 300 bytes, and two
//! bytes of metadata for every hundred of RAM.
//!
//! [`FirmwareHeap`] is for parts on which the whole `archipelago` heap is too large: one core, one
//! block of RAM, no MMU. Like the whole heap it keeps its state apart from objects, finds and
//! reports a second free, a foreign pointer and a layout that another size of slot would serve,
//! serves alignments of any size, and grows and shrinks large objects in place. It has no growth,
//! no index, no tree of summaries and no account: parts of that size can do without them.
//!
//! ```
//! # use archipelago_sim::Hosted as MyKernel;
//! use archipelago_firmware::FirmwareHeap;
//!
//! static HEAP: FirmwareHeap<MyKernel> = FirmwareHeap::empty(); // and #[global_allocator]
//! # let mut ram = vec![0_u8; 20_000];
//! # let (ram_start, ram_bytes) = (ram.as_mut_ptr(), ram.len());
//! // One core; the linker script leaves these bytes to the heap.
//! unsafe { HEAP.init(ram_start, ram_bytes) }?;
//! # std::mem::forget(ram);
//! # Ok::<(), archipelago_firmware::InitError>(())
//! ```
//!
//! Of atomics the heap needs loads and stores alone, so it runs on cores without compare-and-swap;
//! its [`Kernel`] masks interrupts. For targets where `core` has no atomics at all the crate does
//! not build. With the feature `critical-section`, `CriticalSection` is a kernel for any core that
//! has an implementation of the `critical-section` crate, and `heap!` declares a heap in one line.
//! The crate does not depend on `archipelago`, so that firmware which uses it builds no part of the
//! whole heap.
#![no_std]

mod block;
mod error;
mod heap;
mod misuse;
#[cfg(feature = "critical-section")]
mod own_memory;
mod pool;
mod stats;

#[cfg(feature = "critical-section")]
pub use archipelago_api::CriticalSection;
pub use archipelago_api::context::{Context, HandlerGuard, Handlers, Ordinary};
pub use archipelago_api::{AllocFlags, CpuId, Fault, InterruptState, Kernel, Report};
pub use archipelago_api::{OneBlock, OwnMemory};
pub use error::InitError;
pub use heap::FirmwareHeap;
#[cfg(feature = "critical-section")]
pub use own_memory::Page;
pub use stats::Stats;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
