//! The arena index: a sparse two-level table from an address to the span that holds it.
//!
//! ```text
//!   root (in the heap)      table (a part per 512 arenas)     page map (a part per 1024 pages)
//!   word ──────────────▶    word of arena ───────────────▶    handle of the page's span
//! ```
//!
//! Three dependent loads, whatever the address. Every word says which parts of its block are Ready,
//! so a lookup touches nothing that is not; entries go from empty to set with Release and are read
//! with Acquire.

use core::num::NonZeroU32;

use archipelago_api::{Machine, VirtAddr};

use super::Arenas;
use super::words::{SpanHandle, make_part, need_of, ready_entries};
use crate::base::sparse::BlockShape;
use crate::base::sync::{AtomicU32, Ordering};
use crate::base::{PageIdx, PageRun};
use crate::region::Need;
use crate::region::metadata::MetadataSource;
use crate::region::{Cause, Purpose};

/// The arena index of a heap on `M`.
#[derive(Debug)]
pub(crate) struct ArenaIndex<M: Machine> {
    pub(super) arenas: Arenas<M>,
}

impl<M: Machine> ArenaIndex<M> {
    const MAP: BlockShape =
        BlockShape::new::<AtomicU32>(M::GEOMETRY.arena_pages(), M::GEOMETRY.page_bytes());
    pub(super) const MAP_SHIFT: u32 = M::GEOMETRY.arena_shift - M::GEOMETRY.page_shift;

    /// The largest block that a page map or a table needs, in bytes.
    pub(crate) const BLOCK_BYTES: usize = {
        let (map, table) = (
            Self::MAP.block_bytes::<AtomicU32>(),
            Arenas::<M>::BLOCK_BYTES,
        );
        if map > table { map } else { table }
    };

    /// The pieces of metadata that the first page of a heap needs in the index.
    pub(crate) const FIRST_NEEDS: [Need; 2] =
        [Arenas::<M>::FIRST_NEED, need_of::<AtomicU32>(Self::MAP)];

    /// An index with nothing in it.
    pub(crate) const fn new() -> Self {
        Self {
            arenas: Arenas::new(),
        }
    }

    /// The span that holds `addr`, or `None` for any address that is not in one: foreign,
    /// non-canonical, free.
    #[inline]
    pub(crate) fn span_of(&self, addr: VirtAddr) -> Option<SpanHandle> {
        let page = PageIdx::of::<M>(addr)?;
        self.span_at(page)
    }

    /// The span that holds `page`, a page of the space.
    #[inline]
    pub(crate) fn span_at(&self, page: PageIdx) -> Option<SpanHandle> {
        let handle = self.entry(page)?.load(Ordering::Acquire);
        NonZeroU32::new(handle).map(SpanHandle)
    }

    /// All pages whose entries name a span, whether the heap owns them or not, lowest first.
    ///
    /// Cost: every entry of the index that is Ready.
    pub(crate) fn named_pages(&self) -> impl Iterator<Item = PageIdx> + '_ {
        let entries = self.arenas.numbers().flat_map(|arena| {
            let words = self.arenas.get(arena).into_iter();
            words.flat_map(move |words| {
                ready_entries(words.map.raw(), Self::MAP)
                    .map(move |page| PageIdx((arena << Self::MAP_SHIFT) + page))
            })
        });
        entries.filter(|page| self.span_at(*page).is_some())
    }

    /// Makes the entries of `run` Ready, all empty. Idempotent, and invisible to lookups.
    ///
    /// # Errors
    /// What was made stays, empty and charged, for the next attempt.
    pub(crate) fn ensure(
        &self,
        run: PageRun,
        source: &mut MetadataSource<'_, M>,
    ) -> Result<(), Cause> {
        let step = Self::MAP.part_entries;
        let mut page = run.first.0 & !(step - 1);
        while page < run.end().0 {
            self.ensure_part(PageIdx(page), source)?;
            page += step;
        }
        Ok(())
    }

    /// Enters `handle` for every page of `run`, or clears the entries. The run was ensured.
    pub(crate) fn set(&self, run: PageRun, handle: Option<SpanHandle>) {
        let value = handle.map_or(0, |handle| handle.0.get());
        let step = Self::MAP.part_entries;
        let mut page = run.first.0;
        while page < run.end().0 {
            let count = (step - page % step).min(run.end().0 - page);
            let arena = self.arenas.get(Self::arena_of(PageIdx(page)));
            let at = Self::map_of(PageIdx(page));
            let entries = arena.and_then(|arena| arena.map.entries(Self::MAP, at, count));
            debug_assert!(entries.is_some(), "page {page:#x} has no entry");
            for entry in entries.into_iter().flatten() {
                entry.store(value, Ordering::Release);
            }
            page += count;
        }
    }

    /// The number of the arena that holds `page`.
    #[inline]
    pub(super) const fn arena_of(page: PageIdx) -> usize {
        page.0 >> Self::MAP_SHIFT
    }

    /// The place of `page` in its arena's page map.
    #[inline]
    pub(super) const fn map_of(page: PageIdx) -> usize {
        page.0 & ((1 << Self::MAP_SHIFT) - 1)
    }

    #[inline]
    fn entry(&self, page: PageIdx) -> Option<&AtomicU32> {
        let arena = self.arenas.get(Self::arena_of(page))?;
        arena.map.entry(Self::MAP, Self::map_of(page))
    }

    fn ensure_part(&self, page: PageIdx, source: &mut MetadataSource<'_, M>) -> Result<(), Cause> {
        if self.entry(page).is_some() {
            return Ok(());
        }
        let Some(arena) = self.arenas.ensure(Self::arena_of(page), source)? else {
            return Ok(());
        };
        let part = Self::map_of(page) / Self::MAP.part_entries;
        let word = arena.map.raw();
        make_part::<M, AtomicU32>(word, Self::MAP, part, Purpose::ArenaMetadata, source)
    }
}
