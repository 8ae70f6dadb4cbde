//! The machine over two-level tables in ordinary memory: every transition, every failure, every end
//! of the spaces, and a TLB that remembers pairs of pages, valid or not.
#![cfg(test)]

extern crate alloc;

mod any_mutex;
#[path = "../shared/failures.rs"]
mod failures;
mod format;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod hosted;
mod kernel;
mod life;
mod locks;
#[path = "../shared/model.rs"]
mod model;
mod pairs;
mod physical;
mod source;
mod subject;
