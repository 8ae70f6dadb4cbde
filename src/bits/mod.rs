//! The heap bitmap: which words of the heap hold pointers. A layer between arenas and spans.
//!
//! A heap describes objects that [`Heap::allocate_scannable`](crate::Heap::allocate_scannable) makes;
//! `archipelago-derive` derives [`Scannable`] for their types, and [`Description::of`] is what a value
//! of one is made of. [`Heap::object_at`](crate::Heap::object_at) finds an object by any address in
//! it, and [`Heap::bits`](crate::Heap::bits) reads which of its words hold pointers.
//! [`BitsView`](crate::BitsView) has an example.
//!
//! # What it is made of
//!
//! Two bits a word, in a table per arena of which only the parts are Ready that somebody needs.
//! Whoever keeps the tables implements [`Tables`]. On it stand
//!
//! - [`HeapBits`], a cursor that walks from word to word and from arena to arena;
//! - [`PointerMap`], made in `const` for every [`Scannable`] type, and [`Description`], what one
//!   object is made of;
//! - [`describe`], [`describe_value`] and [`clear`], which write the bits of one object or of none;
//! - [`PointerWords`], the words of an object that hold pointers.
//!
//! Nothing here takes a lock or knows objects: bits belong to whoever owns the words.

mod copy;
mod cursor;
mod description;
pub(crate) mod format;
mod map;
mod masks;
mod runs;
mod scan;
mod scannable;
mod slot_bits;
mod tables;
mod write;

#[cfg(test)]
mod tests;

pub use archipelago_api::Geometry;

pub use self::cursor::HeapBits;
pub use self::description::Description;
pub use self::format::{UNIT_WORDS, WordBits};
pub use self::map::{Field, PointerMap};
pub(crate) use self::masks::Masks;
pub use self::runs::Run;
pub use self::scan::PointerWords;
pub use self::scannable::Scannable;
pub(crate) use self::slot_bits::SlotBits;
pub use self::tables::Tables;
pub use self::write::{DescribeError, clear, describe, describe_value};
