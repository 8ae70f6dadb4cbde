//! The simulated machine keeps the contract, and catches callers that do not.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

extern crate alloc;

mod calls;
mod common;
mod machine;
#[cfg(all(target_os = "linux", not(miri)))]
mod traps;
mod violations;
