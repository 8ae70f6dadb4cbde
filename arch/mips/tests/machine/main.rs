//! The tests of machines with two levels of tables, with entries as this processor's TLB takes them
//! and a TLB that holds pairs of them.
#![cfg(test)]

extern crate alloc;

#[path = "../../../paging/tests/shared/failures.rs"]
mod failures;
mod format;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#[path = "../../../paging/tests/machine/hosted.rs"]
mod hosted;
#[path = "../../../paging/tests/machine/kernel.rs"]
mod kernel;
#[path = "../../../paging/tests/machine/life.rs"]
mod life;
#[path = "../../../paging/tests/machine/locks.rs"]
mod locks;
#[path = "../../../paging/tests/shared/model.rs"]
mod model;
#[path = "../../../paging/tests/machine/pairs.rs"]
mod pairs;
#[path = "../../../paging/tests/machine/physical.rs"]
mod physical;
#[path = "../../../paging/tests/machine/source.rs"]
mod source;
#[path = "../../../paging/tests/machine/subject.rs"]
mod subject;
