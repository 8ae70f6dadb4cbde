//! Layer 3: where the heap is.
//!
//! It owns the arena index: from any address whatsoever to the span that holds it, or to "not
//! ours". It takes metadata memory from the region layer and takes no lock.

#[cfg(feature = "heap-bits")]
mod bitmap;
mod bitmap_word;
#[cfg(feature = "flat-index")]
mod flat;
#[cfg(feature = "flat-bits")]
mod flat_bits;
mod index;
#[cfg_attr(
    feature = "flat-index",
    expect(dead_code, reason = "one array stands in for the two levels")
)]
mod two_level;
mod words;

#[cfg(feature = "flat-index")]
use flat::Flat as Arenas;
#[cfg(not(feature = "flat-index"))]
use two_level::TwoLevel as Arenas;

pub(crate) use index::ArenaIndex;
pub(crate) use words::SpanHandle;
