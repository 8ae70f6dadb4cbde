//! The arena index and the heap bitmap, and models of lookups.

#[path = "../../../../src/arena/bitmap.rs"]
mod bitmap;
#[path = "../../../../src/arena/bitmap_words.rs"]
mod bitmap_words;
#[path = "../../../../src/arena/bits_reader.rs"]
mod bits_reader;
#[path = "../../../../src/arena/index.rs"]
mod index;
#[path = "../../../../src/arena/part/mod.rs"]
mod part;
#[path = "../../../../src/arena/two_level.rs"]
mod two_level;
#[path = "../../../../src/arena/words.rs"]
mod words;

use two_level::TwoLevel as Arenas;

pub(crate) use bits_reader::BitsReader;
pub(crate) use index::ArenaIndex;
pub(crate) use words::SpanHandle;
