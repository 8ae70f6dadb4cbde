//! Layer 3: where the heap is.
//!
//! It owns the arena index: from any address whatsoever to the span that holds it, or to "not ours". It takes
//! metadata memory from the region layer and takes no lock.

mod index;

pub(crate) use index::{ArenaIndex, SpanHandle};
