//! Layer 2: the heap bitmap, which says which words of the heap hold pointers.
//!
//! [`Heap::allocate_scannable`](crate::Heap::allocate_scannable) allocates an object with a
//! [`Description`] of its pointers. `archipelago-derive` derives [`Scannable`] for a type, and
//! [`Description::of`] describes a value of that type.
//! [`Heap::object_at`](crate::Heap::object_at) finds an object by any address in it, and
//! [`Heap::bits`](crate::Heap::bits) reads which of its words hold pointers.
//! [`BitsView`](crate::BitsView) has an example.
//!
//! # Parts
//!
//! The bitmap has two bits for each word of the heap, in one table per arena. Only those pages of a
//! table are Ready that describe scannable objects. [`Tables`] is implemented by the code that
//! stores the tables. Built on `Tables` are
//!
//! - [`HeapBits`], a cursor that walks from word to word and from arena to arena;
//! - [`PointerMap`], a constant of every [`Scannable`] type, and [`Description`], the words of one
//!   object;
//! - [`describe`], [`describe_value`] and [`clear`], which write the bits of an object;
//! - [`PointerWords`], the words of an object that hold pointers.
//!
//! This module takes no lock and knows no objects: bits belong to the owner of the words.

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
