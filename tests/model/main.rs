//! The heap against a shadow map, in random operations.
//!
//! Every operation is checked when it is performed, and every object when it is freed. The account
//! is checked after every step. The heap's own invariants are checked after every step while the
//! heap is small, and after every 64th while it is large.
//!
//! ```sh
//! # At least 100,000 operations.
//! cargo test --test model
//! # The run that printed seed 17.
//! ARCHIPELAGO_SEED=17 cargo test --test model
//! # A long run, which prints its progress.
//! ARCHIPELAGO_OPERATIONS=100000000 cargo test --release --test model -- --nocapture
//! # 2,000 operations on every geometry.
//! MIRIFLAGS=-Zmiri-strict-provenance cargo +nightly miri test --test model
//! ```
//!
//! Under Miri, which takes a second for one check of all invariants, the checks are further apart.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

extern crate alloc;

#[cfg(not(miri))]
mod faults;
mod operations;
#[cfg(not(miri))]
mod placements;
mod rounds;
#[cfg(not(miri))]
mod scarce;
mod shadow;
mod subject;
