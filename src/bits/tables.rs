//! The [`Tables`] trait, through which the bitmap's units are found, and the numbers of words.

use core::mem::size_of;
use core::sync::atomic::AtomicUsize;

use archipelago_api::{Geometry, Offset, VirtAddr};

use super::format::{self, UNIT_WORDS};

/// The tables of a heap bitmap: one for each arena, of which any part can be absent.
///
/// A table has a unit for every [`UNIT_WORDS`] words of its arena, zero until it is written. The
/// tables of adjacent arenas need not be adjacent.
pub trait Tables {
    /// The shape of the address space.
    const GEOMETRY: Geometry;

    /// Bytes of a word of the heap: those of a pointer on the machine whose heap it is.
    const WORD_BYTES: usize = size_of::<usize>();

    /// The units of an arena's table from number `first` on: as many as are Ready and lie side by
    /// side in memory, at most to the end of the space. None if unit `first` is not Ready, or if
    /// there is no such arena: `arena` can be the number one past the last of the space.
    ///
    /// Units stay where they are as long as `self` is borrowed.
    fn units(&self, arena: usize, first: usize) -> &[AtomicUsize];
}

/// The number of units in the table of an arena.
pub(super) const fn arena_units<T: Tables>() -> usize {
    const {
        assert!(
            T::WORD_BYTES.is_power_of_two()
                && T::WORD_BYTES > 1
                && T::GEOMETRY.page_bytes() % format::unit_bytes(T::WORD_BYTES) == 0,
            "a page is described by whole units"
        );
    }
    T::GEOMETRY.arena_bytes() / format::unit_bytes(T::WORD_BYTES)
}

/// The number of a word on the line of the address space, or the number one past the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WordIdx(pub(super) usize);

impl WordIdx {
    /// The word that holds `addr`, or `None` if `addr` is outside the space.
    #[inline]
    pub(super) fn of<T: Tables>(addr: VirtAddr) -> Option<Self> {
        let offset = T::GEOMETRY.offset(addr)?;
        Some(Self(offset.value() / T::WORD_BYTES))
    }

    /// The first address of the word, or `None` for the number one past the last.
    pub(super) fn address<T: Tables>(self) -> Option<VirtAddr> {
        (self < Self::end::<T>()).then(|| self.start::<T>())
    }

    /// The first address of the word, which is one of the space.
    pub(super) const fn start<T: Tables>(self) -> VirtAddr {
        let offset = Offset::new(self.0 * T::WORD_BYTES);
        T::GEOMETRY.address(offset)
    }

    /// The number one past the last word of the space.
    pub(super) const fn end<T: Tables>() -> Self {
        Self(T::GEOMETRY.last_offset().value() / T::WORD_BYTES + 1)
    }

    /// The word `count` above, or the number one past the last if that is above the space.
    #[inline]
    pub(super) fn plus<T: Tables>(self, count: usize) -> Self {
        let end = Self::end::<T>();
        match self.0.checked_add(count) {
            Some(word) if word < end.0 => Self(word),
            _ => end,
        }
    }

    /// Words from `lower` up to this one.
    #[inline]
    pub(super) const fn above(self, lower: Self) -> usize {
        self.0 - lower.0
    }

    /// The place of the word in its unit.
    #[inline]
    pub(super) const fn in_unit(self) -> usize {
        self.0 % UNIT_WORDS
    }

    /// How many units lie between the unit of `lower` and that of this word.
    #[inline]
    pub(super) const fn units_above(self, lower: Self) -> usize {
        self.0 / UNIT_WORDS - lower.0 / UNIT_WORDS
    }

    /// The Ready units side by side from that of this word on.
    #[inline]
    pub(super) fn units<T: Tables>(self, tables: &T) -> &[AtomicUsize] {
        let unit = self.0 / UNIT_WORDS;
        tables.units(unit / arena_units::<T>(), unit % arena_units::<T>())
    }
}
