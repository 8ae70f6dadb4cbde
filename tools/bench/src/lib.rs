//! Measurements of the heap on the host: bytes and frames, counted and not timed.
//!
//! Each measurement is a function that returns its figures, which tests compare with bounds and the
//! program `figures` prints. [`Subject`] is an allocator that a measurement drives: the heap on a
//! simulated machine, or another heap on a block of ordinary memory of the same size.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "measurements stop at the first surprise, as tests do"
)]

extern crate alloc;

mod fill;
mod footprint;
mod history;
mod metadata;
mod peers;
mod replays;
mod strides;
mod subject;
#[cfg(feature = "heap-bits")]
mod traced;

pub use fill::{Filled, fill, fill_from};
pub use footprint::{Footprint, footprint, full};
pub use history::{POINTS, Pair, class_sizes, points_behind, worst_pair};
pub use metadata::{Metadata, metadata};
pub use peers::{Block, LinkedList, Rlsf, Talc};
pub use replays::{MemoryPeak, TRACES, memory_peak};
pub use strides::{occupied, stride};
pub use subject::{Archipelago, FlatBlock, Subject};
#[cfg(feature = "heap-bits")]
pub use traced::{BitmapPeak, bitmap_peak};

/// The page that kernels allocate most.
pub const PAGE: usize = 4096;
