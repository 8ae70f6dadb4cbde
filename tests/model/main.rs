//! The heap against a shadow map, in random operations.
//!
//! Every operation is checked when it is made and every object when it goes; the account after
//! every step; the heap's own invariants after every step while it is small, and after every 64th
//! while it is large.
//!
//! ```text
//! cargo test --test model                                            at least 100,000 operations
//! ARCHIPELAGO_SEED=17 cargo test --test model                        the run that printed seed 17
//! ARCHIPELAGO_OPERATIONS=100000000 cargo test --release --test model -- --nocapture
//!                                                                    a long run, which says how far it is
//! MIRIFLAGS=-Zmiri-strict-provenance cargo +nightly miri test --test model
//!                                                                    2,000 operations on every geometry
//! ```
//!
//! Under Miri, which takes a second for one check of all invariants, the checks are further apart.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

extern crate alloc;

#[cfg(not(miri))]
mod faults;
mod operations;
#[cfg(not(miri))]
mod places;
mod rounds;
#[cfg(not(miri))]
mod scarce;
mod shadow;
mod subject;
