//! The format of the heap bitmap: the two bits of a word, and the units that hold them.
//!
//! | word of an object | scan | pointer | meaning |
//! | --- | --- | --- | --- |
//! | any but the second | 1 | 1 | a pointer; the description goes on |
//! | any but the second | 1 | 0 | no pointer; the description goes on |
//! | any but the second | 0 | 0 | **dead**: no pointer from here to the end of the object |
//! | the second | special | 1 or 0 | a pointer or none; the first word says whether to go on |
//!
//! The special bit says nothing of the object's shape: it is free for checks of a collector. All
//! zero is dead, so that memory which was never written describes nothing.
//!
//! The bits of [`UNIT_WORDS`] words of the heap make a **unit**, one atomic machine word: pointer
//! bits in the low half, scan bits in the high half, lowest word first. Halves, because a mask of
//! pointers then needs no spreading; machine words, because a description of 64 words is then two
//! or three stores. Units are numbers, never looked at as bytes, so the byte order does not matter.
//!
//! This file is compiled with and without the feature `heap-bits`: `arena` derives the sizes of its
//! tables from the constants.

use core::mem::size_of;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Words of the heap that one unit of the bitmap describes.
pub const UNIT_WORDS: usize = usize::BITS as usize / 2;

/// Bytes of a word of this machine.
pub(super) const WORD_BYTES: usize = size_of::<usize>();

/// Bytes of the heap that one unit describes, where words have `word_bytes` bytes.
pub(crate) const fn unit_bytes(word_bytes: usize) -> usize {
    UNIT_WORDS * word_bytes
}

/// The two bits of one word of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WordBits {
    /// The word holds a pointer.
    pub pointer: bool,
    /// The description goes on; at an object's second word, the special bit.
    pub scan: bool,
}

impl WordBits {
    /// The bits of a dead word: no pointer from here to the end of the object.
    pub const DEAD: Self = Self {
        pointer: false,
        scan: false,
    };
}

/// The smaller of two numbers, in `const`.
#[inline]
pub(super) const fn min(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

/// The `count` lowest bits of a half, which has [`UNIT_WORDS`] bits.
#[inline]
pub(super) const fn low(count: usize) -> usize {
    debug_assert!(count <= UNIT_WORDS, "a half has as many bits");
    (1 << count) - 1
}

/// The unit with these pointer bits and these scan bits, each of them a half.
#[inline]
pub(super) const fn unit(pointers: usize, scan: usize) -> usize {
    pointers | scan << UNIT_WORDS
}

/// The unit with both bits of `count` words from word `first` set.
#[inline]
pub(super) const fn both(first: usize, count: usize) -> usize {
    let words = low(count) << first;
    unit(words, words)
}

/// The words of a unit moved up by `by`, and below them the last words of the unit before.
#[inline]
pub(super) const fn shifted(before: usize, unit: usize, by: usize) -> usize {
    let below = both(0, by);
    (unit << by & !below) | (before >> (UNIT_WORDS - by) & below)
}

/// The pointer bits of a unit.
#[inline]
pub(super) const fn pointers(unit: usize) -> usize {
    unit & low(UNIT_WORDS)
}

/// The scan bits of a unit.
#[inline]
pub(super) const fn scans(unit: usize) -> usize {
    unit >> UNIT_WORDS
}

/// The bits of word `index` of a unit.
#[inline]
pub(super) const fn word_bits(unit: usize, index: usize) -> WordBits {
    WordBits {
        pointer: unit >> index & 1 != 0,
        scan: unit >> (UNIT_WORDS + index) & 1 != 0,
    }
}

/// The scan bits of `count` words of an object from word `from`, of which `described` words are
/// described: the special bit is clear.
#[inline]
pub(super) const fn scan(described: usize, from: usize, count: usize) -> usize {
    let live = low(min(described.saturating_sub(from), count));
    if from <= 1 && from + count > 1 {
        live & !(1 << (1 - from))
    } else {
        live
    }
}

/// Gives the bits in `own` the values they have in `bits`, and leaves the others to their owners.
///
/// No other CPU changes the bits in `own` meanwhile. One atomic exclusive or flips the bits that
/// differ: readers see the old bits or the new ones, and bits of neighbours are never written.
#[inline]
pub(super) fn replace(unit: &AtomicUsize, own: usize, bits: usize) {
    let change = (unit.load(Relaxed) ^ bits) & own;
    toggle(unit, change);
}

/// Flips bits in one atomic step: on cores without compare-and-swap, in a critical section.
#[inline]
fn toggle(unit: &AtomicUsize, change: usize) {
    #[cfg(any(target_has_atomic = "ptr", not(feature = "critical-section")))]
    unit.fetch_xor(change, Relaxed);
    #[cfg(all(not(target_has_atomic = "ptr"), feature = "critical-section"))]
    critical_section::with(|_| unit.store(unit.load(Relaxed) ^ change, Relaxed));
}

/// Sets bits in one atomic step, and leaves the others to their owners.
#[inline]
pub(super) fn set(unit: &AtomicUsize, bits: usize) {
    #[cfg(any(target_has_atomic = "ptr", not(feature = "critical-section")))]
    unit.fetch_or(bits, Relaxed);
    #[cfg(all(not(target_has_atomic = "ptr"), feature = "critical-section"))]
    critical_section::with(|_| unit.store(unit.load(Relaxed) | bits, Relaxed));
}

/// Clears the bits in `own` in one atomic step, and leaves the others to their owners.
#[inline]
pub(super) fn clear(unit: &AtomicUsize, own: usize) {
    #[cfg(any(target_has_atomic = "ptr", not(feature = "critical-section")))]
    unit.fetch_and(!own, Relaxed);
    #[cfg(all(not(target_has_atomic = "ptr"), feature = "critical-section"))]
    critical_section::with(|_| unit.store(unit.load(Relaxed) & !own, Relaxed));
}
