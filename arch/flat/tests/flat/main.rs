//! The machine without an MMU and the heaps on it, in memory of the host.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails where its helpers do"
)]

extern crate alloc;

// It runs the compiler.
#[cfg(not(miri))]
mod bad_shapes;
mod common;
// It runs the compiler.
#[cfg(not(miri))]
mod compiler;
mod conformance;
mod many;
mod model;
mod own_memory;
mod regions;
mod smallest;
mod stats;
