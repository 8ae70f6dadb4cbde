//! Reading the heap bitmap, whose parts can be taken back.

use archipelago_api::{Geometry, Machine};

use super::ArenaIndex;
use super::bitmap::PartView;
use crate::base::PageIdx;
use crate::base::sync::{CoreUsize, Ordering::Relaxed};
use crate::bits::Tables;

/// A reader of the heap bitmap.
///
/// Invariant: no part that it looks at is taken back during `'a`.
#[derive(Debug)]
pub(crate) struct BitsReader<'a, M: Machine> {
    index: &'a ArenaIndex<M>,
}

impl<M: Machine> ArenaIndex<M> {
    /// A reader of the bitmap.
    ///
    /// # Safety
    /// No part that it looks at is taken back as long as the index is borrowed. That is so if the
    /// caller
    /// - is counted as a reader,
    /// - is inside the growth gate, and takes none back itself, or
    /// - looks only at words of a scannable span that does not go meanwhile: the caller holds an
    ///   object in it, or the central lock.
    pub(crate) const unsafe fn read_bits(&self) -> BitsReader<'_, M> {
        BitsReader { index: self }
    }
}

impl<'a, M: Machine> BitsReader<'a, M> {
    /// The units of an arena's bitmap from unit `first` to the end of its part; none if the part is
    /// not Ready.
    #[inline]
    pub(crate) fn units_from(&self, arena: usize, first: usize) -> &'a [CoreUsize] {
        // SAFETY: the invariant of the reader says that the part is not taken back during `'a`.
        unsafe { self.index.bits_from(arena, first) }
    }

    /// The units that cover `page` and the pages after it, to the end of the part.
    pub(crate) fn units_of(&self, page: PageIdx) -> &'a [CoreUsize] {
        let first = ArenaIndex::<M>::map_of(page) * ArenaIndex::<M>::PAGE_UNITS;
        self.units_from(ArenaIndex::<M>::arena_of(page), first)
    }

    /// Whether all words are dead that a part covers and that are in no scannable span.
    pub(crate) fn is_dead_where_unclaimed(&self, part: &PartView) -> bool {
        let units = self.units_of(part.first);
        let pages = units.chunks(ArenaIndex::<M>::PAGE_UNITS);
        let pages = pages.take(ArenaIndex::<M>::PART_PAGES);
        pages.enumerate().all(|(page, units)| {
            part.claimed >> page & 1 != 0 || units.iter().all(|unit| unit.load(Relaxed) == 0)
        })
    }
}

impl<M: Machine> Tables for BitsReader<'_, M> {
    const GEOMETRY: Geometry = M::GEOMETRY;
    const WORD_BYTES: usize = M::WORD_BYTES;

    #[inline]
    fn units(&self, arena: usize, first: usize) -> &[CoreUsize] {
        self.units_from(arena, first)
    }
}
