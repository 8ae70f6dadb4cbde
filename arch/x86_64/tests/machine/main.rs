//! The machine on page tables in ordinary memory: every transition, every failure, both halves of the
//! space and its ends, without hardware.
#![cfg(test)]

extern crate alloc;

mod failures;
mod kernel;
mod life;
mod locks;
mod model;
mod physical;
