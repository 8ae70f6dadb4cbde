//! Layer 3: where the heap is.
//!
//! It owns the arena index: from any address whatsoever to the span that holds it, or to "not
//! ours". It takes metadata memory from the region layer and takes no lock.

#[cfg(feature = "flat-index")]
mod flat;
#[cfg_attr(
    feature = "flat-index",
    expect(dead_code, reason = "the flat index stands in for this one")
)]
mod index;

#[cfg(feature = "flat-index")]
pub(crate) use flat::ArenaIndex;
#[cfg(not(feature = "flat-index"))]
pub(crate) use index::ArenaIndex;
pub(crate) use index::SpanHandle;
