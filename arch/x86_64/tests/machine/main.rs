//! The machine on page tables in ordinary memory: every transition, every failure, both halves of
//! the space and its ends, without hardware.
#![cfg(test)]

extern crate alloc;

mod failures;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#[path = "../../../tables/tests/machine/following.rs"]
mod following;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod hosted;
mod kernel;
mod life;
mod model;
mod physical;
