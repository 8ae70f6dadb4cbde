//! The contract between the `archipelago` heap and the machine it runs on.
//!
//! Two traits, written so that third parties implement them:
//!
//! - [`Machine`] owns address space and memory: it moves ranges between the states None, Reserved,
//!   Prepared and Ready, and turns addresses into pointers. A value of it is moved into the heap.
//! - [`Kernel`] has associated functions alone, which work from the first instruction: masking
//!   interrupts, naming the CPU, choosing flags, stopping with a report. The [`kernels`] of most
//!   machines are ready-made.
//!
//! The conformance suite (`archipelago-conformance`) turns the contract into tests that any
//! machine's author runs.
//!
//! ```text
//!            reserve             prepare               commit
//!   None ─────────────▶ Reserved ─────────▶ Prepared ─────────▶ Ready
//!     ▲                  │ ▲  ▲                │ ▲               │ │
//!     │                  │ │  └───── fault ────┘ └── decommit ───┘ │
//!     │                  │ └──────────────── fault ────────────────┘
//!     └───── release ────┴─────────── (from any state) ────────────
//! ```
//!
//! With the feature `critical-section`, `CriticalSection` is a kernel for any core that has an
//! implementation of the `critical-section` crate.
#![no_std]
#![deny(clippy::arithmetic_side_effects)]

mod addr;
pub mod context;
mod cpu_slot;
#[cfg(feature = "critical-section")]
mod critical;
mod error;
mod flags;
mod geometry;
mod kernel;
pub mod kernels;
mod machine;
mod own_memory;
mod range;
mod reentry;
mod report;

pub use addr::{Offset, PhysAddr, VirtAddr};
pub use cpu_slot::{CpuSlot, HeapKey};
#[cfg(feature = "critical-section")]
pub use critical::CriticalSection;
pub use error::{Busy, CommitError, PrepareError, ReserveError};
pub use flags::AllocFlags;
pub use geometry::Geometry;
pub use kernel::{CpuId, InterruptState, Kernel};
pub use machine::{Contents, Footprint, IndexRoot, IndexWord, Machine, Patience};
pub use own_memory::{OneBlock, OwnMemory};
pub use range::VirtRange;
pub use reentry::Reentry;
pub use report::{Fault, Report, SpanReport};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
