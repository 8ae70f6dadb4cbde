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
use core::sync::atomic::{AtomicU32, Ordering};

use archipelago_api::{IndexWord, Machine, VirtAddr};

use super::Arenas;
use crate::base::sparse::{self, BlockShape, Word};
use crate::base::{PageIdx, PageRun};
use crate::region::metadata::MetadataSource;
use crate::region::{Cause, Purpose, Source};

/// Names a span's record. Page maps hold it as a number, 0 for no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanHandle(pub(crate) NonZeroU32);

/// What the index holds of an arena.
#[derive(Debug)]
#[repr(C)]
pub(super) struct ArenaWords {
    /// The page map.
    pub(super) map: Word<AtomicU32>,
    /// The heap bitmap.
    #[cfg(feature = "heap-bits")]
    pub(super) bits: Word<super::bitmap::Part>,
}

// SAFETY: words are entries, each of them.
unsafe impl sparse::Entry for ArenaWords {}

impl ArenaWords {
    /// Words that name nothing.
    #[cfg(feature = "flat-index")]
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "made for array initialisers"
    )]
    pub(super) const EMPTY: Self = Self {
        map: Word::EMPTY,
        #[cfg(feature = "heap-bits")]
        bits: Word::EMPTY,
    };
}

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

/// Commits one part of the block that `word` names and publishes it. A block without address space
/// gets some first. The part is absent, and the caller holds the growth gate.
///
/// # Errors
/// Why there is no memory; the part is absent, as before.
pub(super) fn make_part<M: Machine, T: sparse::Entry>(
    word: &IndexWord,
    shape: BlockShape,
    part: usize,
    purpose: Purpose,
    source: &mut MetadataSource<'_, M>,
) -> Result<(), Cause> {
    let block_bytes = shape.block_bytes::<T>();
    if shape.part_entries == shape.entries {
        let memory = source.take::<T>(purpose, shape.entries, block_bytes)?;
        sparse::publish_part(word, shape, 0, memory);
        return Ok(());
    }
    make_whole_part::<M, T>(word, shape, part, purpose, source)
}

/// [`make_part`] for a part of whole pages, which share no page with other metadata.
#[inline(always)]
pub(super) fn make_whole_part<M: Machine, T: sparse::Entry>(
    word: &IndexWord,
    shape: BlockShape,
    part: usize,
    purpose: Purpose,
    source: &mut MetadataSource<'_, M>,
) -> Result<(), Cause> {
    let block_bytes = shape.block_bytes::<T>();
    let placed = sparse::block_base(word, shape);
    let block = match placed {
        Some(base) => source
            .offset_of(base)
            .ok_or(Cause::MetadataWindow { bytes: block_bytes })?,
        None => source.take_block(block_bytes)?,
    };
    let offset = archipelago_api::Offset::new(block.value() + part * shape.part_bytes::<T>());
    debug_assert!(!sparse::has_part(word, part), "a part is committed once");
    // SAFETY: `commit_part` needs
    // - the part in a block of this source that was not put back: `word` names no other blocks, and
    //   one that was taken just now is put back after a failure alone;
    // - whole pages that are not Ready: the part is absent, as every caller checks.
    match unsafe { source.commit_part::<T>(purpose, offset, shape.part_entries) } {
        Ok(memory) => {
            sparse::publish_part(word, shape, part, memory);
            Ok(())
        }
        Err(cause) => {
            if placed.is_none() {
                source.put_back_block(block, block_bytes);
            }
            Err(cause)
        }
    }
}
