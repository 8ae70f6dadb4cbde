//! Models of the library's modules: loom tries all orders of accesses that the memory model allows.
//!
//! The modules are the files of the library, over a facade of atomics and a lock of which loom
//! knows. A model takes a [`Site`], a function of the library whose accesses are then too weakly
//! ordered, and has to fail with it.
// The tests of these modules are the library's.
#![cfg(not(test))]
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a model that fails panics"
)]
#![expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "models use a part of each module"
)]

extern crate alloc;

mod arena;
mod base;
mod bits;
pub mod lookup;
mod memory;
mod pageheap;
pub mod parts;
mod planted;
mod ram;
#[path = "../../../src/region/mod.rs"]
mod region;
mod span;

pub use pageheap::withdrawal;
pub use planted::{Site, seen_outside_of};
pub use span::owned::{hand_over, remote_frees, visits};
