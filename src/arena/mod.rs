//! Layer 4: where the heap is.
//!
//! It owns the arena index: from any address whatsoever to the span that holds it, or to "not
//! ours". It takes metadata memory from the region layer and takes no lock.

#[cfg(feature = "heap-bits")]
mod bitmap;
#[cfg(feature = "heap-bits")]
mod bitmap_words;
#[cfg(feature = "heap-bits")]
mod bits_reader;
mod index;
mod part;
mod two_level;
mod words;

use two_level::TwoLevel as Arenas;

#[cfg(feature = "heap-bits")]
pub(crate) use bits_reader::BitsReader;
pub(crate) use index::ArenaIndex;
pub(crate) use words::SpanHandle;
