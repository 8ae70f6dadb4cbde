//! The arena index, with the modules that a measured variant replaces.

#[cfg(feature = "heap-bits")]
#[path = "../../../../src/arena/bitmap.rs"]
mod bitmap;
#[cfg(all(feature = "heap-bits", not(feature = "flat-bits")))]
#[path = "../../../../src/arena/bitmap_words.rs"]
mod bitmap_words;
#[cfg(feature = "heap-bits")]
#[path = "../../../../src/arena/bits_reader.rs"]
mod bits_reader;
#[cfg(feature = "flat-bits")]
pub(crate) mod flat_bits;
#[cfg(feature = "flat-index")]
mod flat_index;
#[path = "../../../../src/arena/index.rs"]
mod index;
#[path = "../../../../src/arena/part/mod.rs"]
mod part;
#[path = "../../../../src/arena/two_level.rs"]
mod two_level;
#[path = "../../../../src/arena/words.rs"]
mod words;

#[cfg(feature = "flat-bits")]
use flat_bits::FirstArena as Arenas;
#[cfg(all(feature = "flat-index", not(feature = "flat-bits")))]
use flat_index::FlatIndex as Arenas;
#[cfg(not(any(feature = "flat-index", feature = "flat-bits")))]
use two_level::TwoLevel as Arenas;

#[cfg(feature = "heap-bits")]
pub(crate) use bits_reader::BitsReader;
pub(crate) use index::ArenaIndex;
pub(crate) use words::SpanHandle;
