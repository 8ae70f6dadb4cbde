//! The cursor: a word of the heap, and its bits.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use archipelago_api::VirtAddr;

use super::format::{self, UNIT_WORDS, WordBits};
use super::tables::{Tables, WordIdx};

/// A position in the heap bitmap: a word of the address space, or the end of the space.
///
/// A cursor steps from arena to arena as the addresses do, wherever their tables are. Where there
/// is no table, a cursor is a position like any other, without an [`entry`](Self::entry).
pub struct HeapBits<'a, T> {
    tables: &'a T,
    /// The units from the word's own up to the end of its piece of table; none if it has none.
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

    /// The bits of the word, read in one load, or `None` where there are none.
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

    /// Sets or clears the special bit, and returns whether there are bits.
    ///
    /// The special bit is the scan bit of a live object's second word, and the cursor has to be at
    /// that word: a bit that is set elsewhere would become part of a later object's description.
    /// No other CPU may change this bit meanwhile.
    #[must_use]
    pub fn set_special(self, on: bool) -> bool {
        let bit = format::unit(0, 1 << self.shift());
        let Some(unit) = self.units.first() else {
            return false;
        };
        format::replace(unit, bit, if on { bit } else { 0 });
        true
    }

    /// The cursor one word on. A cursor at the end of the space stays there.
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

    /// [`forward`](Self::forward) out of this piece of table.
    // Out of line, so that a step inside a piece saves no registers for the lookup.
    #[cold]
    #[inline(never)]
    fn crossed(tables: &'a T, word: WordIdx) -> Self {
        Self::at_word(tables, word)
    }

    /// The cursor `words` on, or at the first word after this piece of table if that is nearer, and
    /// the number of words that it moved. Exact from any word, first of a unit or not. Where there
    /// is no table, a piece is a unit.
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
