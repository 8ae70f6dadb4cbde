//! The smallest machine with page tables: three levels like those of Sv39, in ordinary memory.
//!
//! `machine.rs` is all that such a machine needs beside its kernel: an entry format, three levels
//! and TLB maintenance, in less than 150 lines. All other files are the test's: physical memory,
//! a CPU that walks the tables by its own code, and the tests that machines share.
#![cfg(test)]
// Its space has 39 bits.
#![cfg(target_pointer_width = "64")]

extern crate alloc;

#[path = "../shared/failures.rs"]
mod failures;
mod fences;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod hosted;
mod kernel;
mod machine;
#[path = "../shared/model.rs"]
mod model;
mod physical;
mod subject;

#[test]
fn a_machine_is_a_format_levels_and_maintenance_in_less_than_150_lines() {
    assert!(include_str!("machine.rs").lines().count() < 150);
}
