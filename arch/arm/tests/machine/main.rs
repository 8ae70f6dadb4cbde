//! The machine on first-level and second-level tables in ordinary memory, walked as the manual says
//! that a CPU walks them, with every instruction of maintenance on record.
#![cfg(test)]

extern crate alloc;

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#[path = "../../../tables/tests/machine/following.rs"]
mod following;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod hosted;
mod physical;
mod roots;
mod sequence;
