//! The heap against a shadow map, in random operations.
//!
//! Every operation is checked when it is made and every object when it goes; the account after every step; the heap's own
//! invariants after every step while it is small, and after every 64th while it is large.
//!
//! ```text
//! cargo test --test model                                            at least 100,000 operations
//! ARCHIPELAGO_SEED=17 cargo test --test model                        the run that printed seed 17
//! ARCHIPELAGO_OPERATIONS=100000000 cargo test --release --test model -- --nocapture
//!                                                                    a long run, which says how far it is
//! ```

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

extern crate alloc;

mod faults;
mod operations;
mod places;
mod rounds;
mod scarce;
mod shadow;
mod subject;
