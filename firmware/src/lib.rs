//! A heap for firmware: a few kilobytes of code, a control block of less than 300 bytes, and two
//! bytes of metadata for every hundred of RAM.
//!
//! [`FirmwareHeap`] is for parts on which the whole `archipelago` heap is too large: one core, one
//! block of RAM, no MMU. It keeps what makes the whole heap safe to use: nothing of the heap's lies
//! in or between objects, a second free, a foreign pointer and a wrong layout are found and
//! reported, alignments of any size are served, large objects grow and shrink where they are. It
//! leaves out what a part of that size can do without: growth, an index, a tree of summaries, an
//! account.
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
//! It needs no atomic instructions beyond what its [`Kernel`](archipelago_api::Kernel) needs to
//! mask interrupts, so it runs on cores without compare-and-swap. It is a crate of its own, apart
//! from the machine without an MMU on which the whole heap runs, so that firmware which chooses it
//! builds nothing of the other.
#![no_std]

mod block;
mod error;
mod heap;
mod pool;
mod stats;

pub use error::InitError;
pub use heap::FirmwareHeap;
pub use stats::Stats;
