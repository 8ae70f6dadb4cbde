//! What the heap is measured by on the host: bytes and frames, counted, and nothing timed.
//!
//! Each measurement is a function that answers with its figures, for tests to compare with bounds
//! and for the program `figures` to print. [`Subject`] is an allocator that a measurement drives:
//! the heap on a simulated machine, or a peer on a block of ordinary memory as large.
// Loom models single structures: there is no heap then.
#![cfg(not(loom))]
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "measurements stop at the first surprise, as tests do"
)]

extern crate alloc;

mod fill;
mod footprint;
mod metadata;
mod peers;
mod strides;
mod subject;
#[cfg(feature = "heap-bits")]
mod traced;

pub use fill::{Filled, fill};
pub use footprint::{Footprint, footprint, full};
pub use metadata::{Metadata, metadata};
pub use peers::{Block, LinkedList, Rlsf, Talc};
pub use strides::{occupied, stride};
pub use subject::{Archipelago, Subject};
#[cfg(feature = "heap-bits")]
pub use traced::{BitmapPeak, TRACES, bitmap_peak};

/// The page that kernels allocate most.
pub const PAGE: usize = 4096;
