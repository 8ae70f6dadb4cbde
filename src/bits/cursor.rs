//! The cursor: a word of the heap, and its bits.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use archipelago_api::VirtAddr;

use super::format::{self, UNIT_WORDS, WordBits};
use super::tables::{Tables, WordIdx};

/// A position in the heap bitmap: a word of the address space, or the end of the space.
///
/// It steps from arena to arena as the addresses do, wherever their tables are. Where no table is,
/// past the last object or between two of them, it is a position like any other that has no
/// [`entry`](Self::entry).
pub struct HeapBits<'a, T> {
    tables: &'a T,
    /// The units from the word's own on, as far as they lie side by side; none if it has none.
    units: &'a [AtomicUsize],
    word: WordIdx,
}

impl<'a, T: Tables> HeapBits<'a, T> {
    /// The cursor at the word that holds `addr`, or `None` for an address outside of the space.
    #[inline]
    #[must_use]
    pub fn at(tables: &'a T, addr: VirtAddr) -> Option<Self> {
        WordIdx::of::<T>(addr).map(|word| Self::at_word(tables, word))
    }

    #[inline]
    fn at_word(tables: &'a T, word: WordIdx) -> Self {
        Self {
            tables,
            units: word.units(tables),
            word,
        }
    }

    /// The first address of the word, or `None` at the end of the space.
    #[must_use]
    pub fn address(self) -> Option<VirtAddr> {
        self.word.address::<T>()
    }

    /// The bits of the word, read at once, or `None` where there are none.
    #[inline]
    #[must_use]
    pub fn entry(self) -> Option<WordBits> {
        let unit = self.unit()?;
        Some(format::word_bits(unit, self.shift()))
    }

    /// The unit that has the word's bits, if there is one.
    #[inline]
    pub(super) fn unit(self) -> Option<usize> {
        Some(self.units.first()?.load(Relaxed))
    }

    /// The place of the word in its unit.
    #[inline]
    pub(super) fn shift(self) -> usize {
        self.word.in_unit()
    }

    /// Sets or clears the special bit, the scan bit of a live object's second word, where the cursor
    /// has to be: elsewhere, a later object would find a bit that it does not expect. Says whether
    /// there are bits. Nobody else may change the same bit meanwhile.
    #[must_use]
    pub fn set_special(self, on: bool) -> bool {
        let bit = format::unit(0, 1 << self.shift());
        let Some(unit) = self.units.first() else {
            return false;
        };
        format::replace(unit, bit, if on { bit } else { 0 });
        true
    }

    /// The cursor one word on. The end of the space stays where it is.
    #[inline]
    #[must_use]
    pub fn next(self) -> Self {
        self.forward(1)
    }

    /// The cursor `words` on, or at the end of the space if that is nearer.
    #[inline]
    #[must_use]
    pub fn forward(self, words: usize) -> Self {
        let word = self.word.plus::<T>(words);
        match self.units.get(word.units_above(self.word)..) {
            Some(units) if !units.is_empty() => Self {
                units,
                word,
                ..self
            },
            _ => Self::crossed(self.tables, word),
        }
    }

    /// Where a step leaves its piece of the table.
    // Out of line, so that a step within one needs no more registers than it uses.
    #[cold]
    #[inline(never)]
    fn crossed(tables: &'a T, word: WordIdx) -> Self {
        Self::at_word(tables, word)
    }

    /// The cursor `words` on, but no further than the first word behind this piece of the table,
    /// and how many words that is. Exact from any word, first of a unit or not. Where there is no
    /// table, a piece is a unit.
    #[inline]
    #[must_use]
    pub fn forward_or_boundary(self, words: usize) -> (Self, usize) {
        let piece = self.units.len().max(1) * UNIT_WORDS - self.word.in_unit();
        let moved = self.forward(words.min(piece));
        (moved, moved.word.above(self.word))
    }
}

impl<T> Clone for HeapBits<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for HeapBits<'_, T> {}

impl<T: Tables> fmt::Debug for HeapBits<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeapBits")
            .field("address", &self.address())
            .field("entry", &self.entry())
            .finish()
    }
}
