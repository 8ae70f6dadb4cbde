//! Objects that the heap bitmap describes.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod objects;
mod places;
mod random;
mod subject;
