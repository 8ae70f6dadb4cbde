//! The heap bitmap: which words of the heap hold pointers. A layer between arenas and spans.
//!
//!
//! Two bits a word, in a table per arena of which only the parts are Ready that somebody needs.
//! Whoever keeps the tables implements [`Tables`]; on it stands a cursor that walks from word to
//! word and from arena to arena ([`HeapBits`]).
//!
//! Nothing here takes a lock, and nothing knows objects: bits belong to whoever owns the words.

mod cursor;
mod format;
mod tables;

#[cfg(test)]
mod tests;

pub use archipelago_api::Geometry;

pub use self::cursor::HeapBits;
pub use self::format::{Entry, UNIT_WORDS};
pub use self::tables::Tables;
