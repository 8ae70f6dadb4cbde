//! Models of the library's modules: loom tries all orders of accesses that the memory model allows.
//!
//! The modules are the files of the library, over a facade of atomics and a lock of which loom
//! knows. A model takes a [`Site`], a function of the library whose accesses are then too weakly
//! ordered, and has to fail with it.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a model that fails panics"
)]
#![expect(dead_code, reason = "a model uses a part of a module")]

extern crate alloc;

mod base;
mod memory;
pub mod parts;
mod planted;

pub use planted::{Site, seen_outside_of};
