//! Objects that the heap bitmap describes.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

extern crate alloc;

mod classes;
mod cpus;
mod growth;
mod history;
mod known;
mod machine;
mod misuse;
mod moves;
mod objects;
mod placements;
mod random;
mod reading;
mod ready;
mod refusals;
mod resize;
mod room;
mod scavenging;
mod subject;
