//! A flat heap bitmap, to measure the cost of the sparse one: one array with the words of the first
//! arena of the address space.
//!
//! The array serves one heap, and one whose pages lie in that arena: memory elsewhere is refused.
//! Parts of the sparse bitmap are committed, claimed and charged as ever, and never read.

use core::fmt;
use core::sync::atomic::AtomicUsize;

use archipelago_api::Machine;

use super::ArenaIndex;
#[cfg(feature = "flat-index")]
use super::flat_index::FlatIndex as AnyArena;
#[cfg(not(feature = "flat-index"))]
use super::two_level::TwoLevel as AnyArena;
use super::words::ArenaWords;
use crate::base::PageIdx;
use crate::region::Cause;
use crate::region::Need;
use crate::region::metadata::MetadataSource;

/// Words of the bitmap of an arena of 64 MiB with words of 64 bits, which is the largest.
const WORDS: usize = (64 << 20) / 8 / 32;

/// Pages of such an arena.
const PAGES: usize = (64 << 20) >> 12;

static BITMAP: [AtomicUsize; WORDS] = [const { AtomicUsize::new(0) }; WORDS];

/// Arenas, of which none but the first may hold pages.
pub(crate) struct FirstArena<M: Machine>(AnyArena<M>);

impl<M: Machine> FirstArena<M> {
    /// The first piece of metadata that a table needs.
    pub(super) const FIRST_NEED: Need = AnyArena::<M>::FIRST_NEED;

    /// The block that a table needs, in bytes.
    pub(super) const BLOCK_BYTES: usize = AnyArena::<M>::BLOCK_BYTES;

    /// An index without arenas.
    pub(super) const fn new() -> Self {
        const {
            let words = M::GEOMETRY.arena_pages() * ArenaIndex::<M>::PAGE_UNITS;
            assert!(words <= WORDS, "the array has the words of one arena");
        }
        Self(AnyArena::new())
    }

    /// The words of an arena.
    #[inline]
    pub(super) fn get(&self, arena: usize) -> Option<&ArenaWords> {
        self.0.get(arena)
    }

    /// The numbers of the arenas that have words, lowest first.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.numbers()
    }

    /// The words of an arena, which is the first.
    ///
    /// # Errors
    /// It is another, for which the flat bitmap has no words; or as without a flat bitmap.
    pub(super) fn ensure(
        &self,
        arena: usize,
        source: &mut MetadataSource<'_, M>,
    ) -> Result<Option<&ArenaWords>, Cause> {
        if arena > 0 {
            let (bytes, most) = (
                (arena + 1) << M::GEOMETRY.arena_shift,
                M::GEOMETRY.arena_bytes(),
            );
            return Err(Cause::TooLarge { bytes, most });
        }
        self.0.ensure(arena, source)
    }
}

impl<M: Machine> fmt::Debug for FirstArena<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstArena").finish_non_exhaustive()
    }
}

impl<M: Machine> ArenaIndex<M> {
    /// The words of an arena's bitmap from word `first` to the end of the array.
    ///
    /// # Safety
    /// None: the array is not taken back. The sparse bitmap has obligations here.
    #[inline]
    pub(super) unsafe fn bits_from(&self, arena: usize, first: usize) -> &'static [AtomicUsize] {
        let words = M::GEOMETRY.arena_pages() * Self::PAGE_UNITS;
        let first = arena.saturating_mul(words).saturating_add(first);
        BITMAP.get(first..).unwrap_or(&[])
    }
}

/// Whether the array has the words that describe `page`.
#[inline(always)]
pub(crate) const fn has_words_of(page: PageIdx) -> bool {
    page.0 < PAGES
}

/// The `count` words from word `first` of those that describe `page` and the pages after it.
///
/// # Safety
/// They describe words of a span, which is in the arena index.
#[inline(always)]
pub(crate) unsafe fn words_of<M: Machine>(
    page: PageIdx,
    first: usize,
    count: usize,
) -> &'static [AtomicUsize] {
    let first = page.0 * ArenaIndex::<M>::PAGE_UNITS + first;
    // SAFETY: `get_unchecked` needs a range inside the array. The index has no entries outside of
    // the first arena, so the span lies in it, and the array has the words of that arena.
    unsafe { BITMAP.get_unchecked(first..first + count) }
}
