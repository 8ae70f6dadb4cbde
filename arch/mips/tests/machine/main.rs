//! The tests of machines with two levels of tables, with entries as this processor's TLB takes them
//! and a TLB that holds pairs of them.
#![cfg(test)]

extern crate alloc;

#[path = "../../../tables/tests/shared/failures.rs"]
mod failures;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#[path = "../../../tables/tests/shared/following.rs"]
mod following;
mod format;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#[path = "../../../tables/tests/machine/hosted.rs"]
mod hosted;
#[path = "../../../tables/tests/machine/kernel.rs"]
mod kernel;
#[path = "../../../tables/tests/machine/life.rs"]
mod life;
#[path = "../../../tables/tests/machine/locks.rs"]
mod locks;
#[path = "../../../tables/tests/shared/model.rs"]
mod model;
#[path = "../../../tables/tests/machine/pairs.rs"]
mod pairs;
#[path = "../../../tables/tests/machine/physical.rs"]
mod physical;
#[path = "../../../tables/tests/machine/source.rs"]
mod source;
#[path = "../../../tables/tests/machine/subject.rs"]
mod subject;
