//! The two bits of a word, and the units that hold them.
//!
//! | word of an object | scan | pointer | meaning |
//! | --- | --- | --- | --- |
//! | any but the second | 1 | 1 | a pointer; the description goes on |
//! | any but the second | 1 | 0 | no pointer; the description goes on |
//! | any but the second | 0 | 0 | **dead**: no pointer from here to the end of the object |
//! | the second | special | 1 or 0 | a pointer or none; the description goes on if the first word's does |
//!
//! The special bit says nothing of the object's shape: it is left to whoever checks a collector.
//! All zero is dead, so that tables which nobody has written describe nothing.
//!
//! The bits of [`UNIT_WORDS`] words make a **unit**, one atomic machine word: pointer bits in the
//! low half, scan bits in the high half, lowest word first. Halves, because a mask of pointers then
//! needs no spreading; machine words, because a description of 64 words is then two or three
//! stores. Units are numbers, never looked at as bytes, so the byte order does not matter.

/// Words that one unit of the bitmap describes.
pub const UNIT_WORDS: usize = usize::BITS as usize / 2;

/// The two bits of one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The word holds a pointer.
    pub pointer: bool,
    /// The description goes on; at an object's second word, the special bit.
    pub scan: bool,
}

impl Entry {
    /// No pointer from here to the end of the object.
    pub const DEAD: Self = Self {
        pointer: false,
        scan: false,
    };
}

/// The unit with these pointer bits and these scan bits, each of them a half.
#[inline]
pub(super) const fn unit(pointers: usize, scan: usize) -> usize {
    pointers | scan << UNIT_WORDS
}

/// The bits of word `index` of a unit.
#[inline]
pub(super) const fn entry(unit: usize, index: usize) -> Entry {
    Entry {
        pointer: unit >> index & 1 != 0,
        scan: unit >> (UNIT_WORDS + index) & 1 != 0,
    }
}
