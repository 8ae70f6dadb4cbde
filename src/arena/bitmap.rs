//! Where the heap bitmap's memory is: which of it is Ready, and which pages it covers.
//!
//! An arena's bitmap is divided into **parts** of one page. A part lies in a page of the heap, any
//! free one, and gives that page back, so that a window sets nothing aside for bitmap. Parts are
//! adjacent where these pages are by chance alone.
//!
//! A part covers 16 or 32 pages of the heap. A bit for each of them says whether it is in a
//! **scannable** span, one whose objects may hold pointers. A part is
//!
//! - **needed** while one of its bits is set, and charged to [`Purpose::HeapBits`];
//! - **idle** while none is set and the part is Ready all the same: charged as unused metadata, for
//!   the next scannable span that it covers, until it is scavenged;
//! - absent otherwise.
//!
//! # How published memory is reclaimed
//!
//! Elsewhere a published part is Ready for ever, since a reader without a lock may be in it. The
//! readers of the bitmap are known: a caller who describes an object holds a slot of a span that
//! the part covers, and all others are counted. So:
//!
//! 1. A part becomes Ready inside the growth gate, in a zeroed page, and is idle then.
//! 2. Page bits change under the bitmap's lock, and are set only where the part is Ready then. The
//!    bits of a span are set before there can be an object in it, and cleared when there is none.
//! 3. Readers are counted under the bitmap's lock.
//! 4. A part is taken back inside the gate: under the bitmap's lock, with no reader counted, the
//!    part is found idle and marked absent; then, with no lock held, its page becomes a free page.
//!    After the first step its bits cannot be set, and a new reader finds the part absent. If the
//!    page was to lose its memory and the machine is busy, the part is marked Ready again.

use core::mem::size_of;
use core::ops::RangeInclusive;

use archipelago_api::{Machine, VirtRange};

use super::ArenaIndex;
use super::part::Part;
use super::words::{make_part, need_of};
use crate::base::sparse::{self, BlockShape, Zeroed};
use crate::base::sync::{CoreUsize, Ordering::Relaxed};
use crate::base::{PageIdx, PageRun};
use crate::bits::UNIT_WORDS;
use crate::region::metadata::MetadataSource;
use crate::region::token::Ready;
use crate::region::{Cause, Need, Purpose};

/// log2 of the words that a byte of the bitmap describes.
const WORDS_SHIFT: u32 = (UNIT_WORDS / size_of::<CoreUsize>()).trailing_zeros();

/// A part that was idle and is marked absent.
#[derive(Debug)]
pub(crate) struct IdlePart {
    /// The pages that it covers, of those that were asked about.
    pub(crate) piece: PageRun,
    /// The part's memory.
    pub(crate) memory: Ready,
}

/// The state of a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartView {
    /// The first page that it covers.
    pub(crate) first: PageIdx,
    /// The part is Ready.
    pub(crate) is_ready: bool,
    /// A bit for each page that it covers and that is in a scannable span, lowest page first.
    pub(crate) claimed: u32,
}

/// The pages of a run that one part covers.
#[derive(Clone, Copy, Debug)]
struct Stretch<'a> {
    part: &'a Part,
    /// The bits of the pages.
    mask: u32,
}

impl Stretch<'_> {
    fn is_ready(&self) -> bool {
        sparse::has_part(self.part.word.raw(), 0)
    }
}

impl<M: Machine> ArenaIndex<M> {
    /// log2 of the bytes of the heap that a byte of the bitmap describes.
    const BITS_SHIFT: u32 = {
        assert!(
            (M::WORD_BYTES == 4 || M::WORD_BYTES == 8) && M::WORD_BYTES <= size_of::<usize>(),
            "a word has 4 or 8 bytes, and no more than a number"
        );
        M::WORD_BYTES.trailing_zeros() + WORDS_SHIFT
    };

    /// Bytes of a part: what the machine maps.
    pub(crate) const PART_BYTES: usize = M::GEOMETRY.page_bytes();
    /// Pages that a part covers: 16 or 32.
    pub(crate) const PART_PAGES: usize = 1 << Self::BITS_SHIFT;
    /// Units of a page of the heap.
    pub(super) const PAGE_UNITS: usize =
        Self::PART_BYTES / size_of::<CoreUsize>() / Self::PART_PAGES;
    /// Bits for the pages that a part covers.
    const MOST_PAGES: usize = 32;

    /// A part, by units.
    pub(super) const PART: BlockShape = {
        let units = Self::PART_BYTES / size_of::<CoreUsize>();
        BlockShape {
            entries: units,
            part_entries: units,
        }
    };

    /// The parts of an arena.
    pub(super) const PARTS: BlockShape = {
        let pages = M::GEOMETRY.arena_pages();
        assert!(
            pages >= Self::PART_PAGES,
            "an arena has as many pages as one page of heap bitmap describes"
        );
        BlockShape::new::<Part>(pages / Self::PART_PAGES, M::GEOMETRY.page_bytes())
    };

    /// The piece of metadata that the first entries of an arena's bitmap need.
    pub(crate) const PARTS_NEED: Need = need_of::<Part>(Self::PARTS);

    /// The part that covers `piece`, which passes no part's end, if the arena has a bitmap.
    fn stretch(&self, piece: PageRun) -> Option<Stretch<'_>> {
        let arena = self.arenas.get(Self::arena_of(piece.first))?;
        let part = arena.bits.entry(Self::PARTS, Self::part_of(piece.first))?;
        let bits = u32::MAX >> (Self::MOST_PAGES - piece.count);
        Some(Stretch {
            part,
            mask: bits << (piece.first.0 % Self::PART_PAGES),
        })
    }

    /// The number, in its arena, of the part that covers `page`.
    const fn part_of(page: PageIdx) -> usize {
        Self::map_of(page) / Self::PART_PAGES
    }

    /// The pages of `run`, grouped by the part that covers them.
    pub(crate) fn pieces(run: PageRun) -> impl Iterator<Item = PageRun> {
        let mut rest = run;
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let count = (Self::PART_PAGES - rest.first.0 % Self::PART_PAGES).min(rest.count);
            let piece = PageRun::new(rest.first, count);
            rest = PageRun::between(piece.end(), rest.end());
            Some(piece)
        })
    }

    fn stretches(&self, run: PageRun) -> impl Iterator<Item = Stretch<'_>> {
        Self::pieces(run).filter_map(|piece| self.stretch(piece))
    }

    /// Commits the entries of the parts that cover `run`, which was ensured. The caller holds the
    /// growth gate.
    ///
    /// # Errors
    /// Why there is no memory. What was made stays, for the next attempt.
    pub(crate) fn ensure_bits(
        &self,
        run: PageRun,
        source: &mut MetadataSource<'_, M>,
    ) -> Result<(), Cause> {
        Self::pieces(run).try_for_each(|piece| self.ensure_entry(piece.first, source))
    }

    /// Makes the part that covers `piece` Ready and idle, in `memory`. Its entry was ensured, and
    /// the part is absent. The caller holds the growth gate.
    pub(crate) fn put_part(&self, piece: PageRun, memory: Zeroed<CoreUsize>) {
        let stretch = self.stretch(piece);
        debug_assert!(stretch.is_some(), "the part has an entry");
        if let Some(Stretch { part, .. }) = stretch {
            sparse::publish_part(part.word.raw(), Self::PART, 0, memory);
        }
    }

    /// Commits the entry of the part that covers `page`.
    fn ensure_entry(&self, page: PageIdx, source: &mut MetadataSource<'_, M>) -> Result<(), Cause> {
        let part = Self::part_of(page);
        let arena = self.arenas.get(Self::arena_of(page));
        let Some(arena) = arena.filter(|arena| arena.bits.entry(Self::PARTS, part).is_none())
        else {
            return Ok(());
        };
        let (word, part) = (arena.bits.raw(), part / Self::PARTS.part_entries);
        make_part::<M, Part>(word, Self::PARTS, part, Purpose::ArenaMetadata, source)
    }

    /// Whether all parts that cover `run` are Ready.
    pub(crate) fn has_bits(&self, run: PageRun) -> bool {
        Self::pieces(run).all(|piece| {
            let stretch = self.stretch(piece);
            stretch.is_some_and(|stretch| stretch.is_ready())
        })
    }

    /// Marks the pages of `run` as in a scannable span, and returns how many bytes were idle;
    /// `None`, and nothing is changed, if a part that covers them is not Ready. The caller holds
    /// the bitmap's lock.
    pub(crate) fn claim_bits(&self, run: PageRun) -> Option<usize> {
        if !self.has_bits(run) {
            return None;
        }
        let was_idle = |stretch: &Stretch<'_>| {
            let before = stretch.part.pages.load(Relaxed);
            stretch.part.pages.store(before | stretch.mask, Relaxed);
            before == 0
        };
        Some(self.stretches(run).filter(was_idle).count() * Self::PART_BYTES)
    }

    /// Marks the pages of `run` as in no scannable span, whether they were or not, and returns how
    /// many bytes are idle now that were not.
    ///
    /// # Safety
    /// The caller holds the bitmap's lock, and no object is in the pages.
    pub(crate) unsafe fn release_bits(&self, run: PageRun) -> usize {
        let is_idle_now = |stretch: &Stretch<'_>| {
            let before = stretch.part.pages.load(Relaxed);
            stretch.part.pages.store(before & !stretch.mask, Relaxed);
            before != 0 && before & !stretch.mask == 0
        };
        self.stretches(run).filter(is_idle_now).count() * Self::PART_BYTES
    }

    /// Takes back the first idle part that covers pages of `run`: it is absent from now on.
    ///
    /// # Safety
    /// The caller holds the growth gate and the bitmap's lock, and no reader is counted.
    pub(crate) unsafe fn take_idle_part(&self, run: PageRun, machine: &M) -> Option<IdlePart> {
        Self::pieces(run).find_map(|piece| {
            let stretch = self.stretch(piece)?;
            if !stretch.is_ready() || stretch.part.pages.load(Relaxed) != 0 {
                return None;
            }
            let word = stretch.part.word.raw();
            let base = machine.address(sparse::block_base(word, Self::PART)?)?;
            let range = VirtRange::new(base, Self::PART_BYTES)?;
            // SAFETY: no page that the part covers is in a scannable span, and there is no reader;
            // the caller is in the growth gate.
            unsafe { sparse::take_part_back(word, 0) };
            // SAFETY: the token needs the range
            // - Ready: the part was published, and was not taken back since;
            // - unused: no page that it covers is in a scannable span, and there is no reader;
            // - named by no other token: the word that recorded the part says now that it is
            //   absent.
            let memory = unsafe { Ready::assume(range) };
            Some(IdlePart { piece, memory })
        })
    }

    /// Undoes [`take_idle_part`](Self::take_idle_part) for the part that covers `piece`, whose
    /// memory could not go.
    ///
    /// # Safety
    /// The caller holds the growth gate, and `memory` is that of the part.
    pub(crate) unsafe fn put_part_back(&self, piece: PageRun, memory: Ready) {
        memory.record();
        if let Some(stretch) = self.stretch(piece) {
            // SAFETY: the part was taken back, its memory is Ready still, as the token says, and
            // the caller is in the growth gate.
            unsafe { sparse::give_part_again(stretch.part.word.raw(), 0) };
        }
    }
}

/// The state of the bitmap.
impl<M: Machine> ArenaIndex<M> {
    /// Whether `page` is marked as in a scannable span.
    pub(crate) fn is_claimed(&self, page: PageIdx) -> bool {
        self.stretch(PageRun::new(page, 1))
            .is_some_and(|stretch| stretch.part.pages.load(Relaxed) & stretch.mask != 0)
    }

    /// The numbers of the arenas that hold pages of `run`, which is not empty.
    pub(crate) fn arenas_of(run: PageRun) -> RangeInclusive<usize> {
        let last = PageIdx(run.end().0 - 1);
        Self::arena_of(run.first)..=Self::arena_of(last)
    }

    /// The pages of an arena.
    pub(crate) const fn pages_of(arena: usize) -> PageRun {
        PageRun::new(PageIdx(arena << Self::MAP_SHIFT), M::GEOMETRY.arena_pages())
    }

    /// Whether an arena's bitmap has had parts.
    pub(crate) fn has_parts(&self, arena: usize) -> bool {
        let words = self.arenas.get(arena);
        words.is_some_and(|words| sparse::block_base(words.bits.raw(), Self::PARTS).is_some())
    }

    /// The parts of an arena's bitmap, if it has one.
    pub(crate) fn parts_of(&self, arena: usize) -> impl Iterator<Item = PartView> + '_ {
        let run = match self.has_parts(arena) {
            true => Self::pages_of(arena),
            false => PageRun::new(PageIdx(0), 0),
        };
        Self::pieces(run).filter_map(|piece| {
            let stretch = self.stretch(piece)?;
            Some(PartView {
                first: piece.first,
                is_ready: stretch.is_ready(),
                claimed: stretch.part.pages.load(Relaxed),
            })
        })
    }
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl<M: Machine> ArenaIndex<M> {
    pub(crate) fn plant_claim(&self, run: PageRun) {
        for stretch in self.stretches(run) {
            stretch.part.pages.fetch_or(stretch.mask, Relaxed);
        }
    }
}
