//! Objects that the heap bitmap describes.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

extern crate alloc;

mod growth;
mod moves;
mod objects;
mod places;
mod random;
mod reading;
mod refusals;
mod scavenging;
mod subject;
