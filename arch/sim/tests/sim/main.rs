//! The simulated machine does what it says, and catches who does not.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

extern crate alloc;

mod common;
mod machine;
#[cfg(all(target_os = "linux", not(miri)))]
mod traps;
mod violations;
