//! The machine on page tables in ordinary memory: every transition, every failure, both halves of
//! the space and its ends, without hardware.
#![cfg(test)]

extern crate alloc;

// It runs the compiler.
#[cfg(not(miri))]
#[path = "../../../flat/tests/flat/compiler.rs"]
mod compiler;
#[path = "../../../paging/tests/shared/failures.rs"]
mod failures;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod hosted;
mod kernel;
mod life;
#[cfg(not(miri))]
mod mappers;
#[path = "../../../paging/tests/shared/model.rs"]
mod model;
mod physical;
mod subject;
