//! The machine on page tables in ordinary memory: every transition, every failure, both halves of the
//! space and its ends, without hardware.
#![cfg(test)]

extern crate alloc;

mod failures;
#[cfg(target_os = "linux")]
mod hosted;
mod kernel;
mod life;
mod locks;
mod model;
mod physical;
