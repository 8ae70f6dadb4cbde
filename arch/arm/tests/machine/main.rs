//! The machine on first-level and second-level tables in ordinary memory, walked as the manual says
//! that a CPU walks them, with every instruction of maintenance on record.
#![cfg(test)]

extern crate alloc;

#[path = "../../../paging/tests/shared/failures.rs"]
mod failures;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod hosted;
#[path = "../../../paging/tests/shared/model.rs"]
mod model;
mod physical;
mod roots;
mod sequence;
mod subject;
