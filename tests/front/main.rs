//! The heap as its callers see it: the early region, `GlobalAlloc` and `Allocator`, reallocation,
//! requests with flags.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

extern crate alloc;

mod causes;
mod collections;
mod early;
mod empty;
mod flags;
mod global;
mod resize;
