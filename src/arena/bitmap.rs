//! Where the heap bitmap's memory is: which of it is Ready, and behind which pages.
//!
//! An arena's bitmap is divided into **blocks** of a few pages, each a sparse table of its own, so
//! that a window of a few megabytes sets no more address space aside than it can use, and a part of
//! a block is one page. Blocks are adjacent where the arena's pages are only by chance.
//!
//! Behind a part lie 16 or 32 pages of the heap. A bit for each says whether it is in a
//! **scannable** span, one whose objects may hold pointers. A part is
//!
//! - **needed** while one of its bits is set, and charged to [`Purpose::HeapBits`];
//! - **idle** while none is, and it is Ready all the same: charged as unused metadata, for the next
//!   scannable span behind it, until it is scavenged;
//! - absent otherwise.
//!
//! # How memory is given back that nobody unpublishes
//!
//! Elsewhere a part that was published is Ready for ever, since a reader without a lock may be in
//! it. Readers of the bitmap are known: whoever describes an object holds a slot of a span behind
//! the part, and everybody else is counted, at entering and leaving. So:
//!
//! 1. A part becomes Ready inside the growth gate, and is idle then.
//! 2. Page bits change under the central lock, and are set only where the part is Ready then.
//!    A span's are set before anybody can have an object in it, and cleared when nobody has.
//! 3. Readers are counted under the central lock.
//! 4. A part is taken back inside the gate: under the central lock, with no reader counted, it is
//!    seen to be idle and said to be absent; then, with no lock held, its memory goes. From the
//!    first step on nobody can set its bits, and a reader who enters finds it absent. If the
//!    machine is busy, it is said to be Ready again.
//!
//! The word that names a block, and so the block's place, stays as it was published.

use core::mem::size_of;
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use archipelago_api::{Machine, Offset, VirtRange};

use super::ArenaIndex;
use super::index::make_whole_part;
use crate::base::sparse::{self, BlockShape, Entry, Word};
use crate::base::{PageIdx, PageRun};
use crate::region::metadata::MetadataSource;
use crate::region::{Cause, Purpose, Source};

/// log2 of the words that a byte of the bitmap describes.
const WORDS_SHIFT: u32 = 2;

/// Parts of a block at most.
const PARTS: usize = 16;

/// A block of an arena's bitmap.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its bytes.
    word: Word<AtomicUsize>,
    /// For each part a bit for each page of the heap behind it: it is in a scannable span.
    pages: [AtomicU32; PARTS],
}

// SAFETY: zero names nothing and says that no page is in a scannable span; all fields are atomics.
unsafe impl Entry for Block {}

/// A part that was idle, and is said to be absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdlePart {
    /// Pages of the heap behind it.
    pub(crate) piece: PageRun,
    /// The part's memory.
    pub(crate) range: VirtRange,
}

/// A part as it is found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartView {
    /// The first page of the heap behind it.
    pub(crate) first: PageIdx,
    /// It is Ready.
    pub(crate) is_ready: bool,
    /// A bit for each page behind it that is in a scannable span, lowest page first.
    pub(crate) claimed: u32,
}

/// The pages of a run that lie behind one part.
#[derive(Clone, Copy, Debug)]
struct Stretch<'a> {
    block: &'a Block,
    /// The part's number in its block.
    part: usize,
    /// The bits of the pages.
    mask: u32,
}

impl Stretch<'_> {
    fn pages(&self) -> &AtomicU32 {
        &self.block.pages[self.part]
    }

    fn is_ready<M: Machine>(&self) -> bool {
        let shape = ArenaIndex::<M>::BLOCK;
        let first = self.part * shape.part_entries;
        self.block.word.entry(shape, first).is_some()
    }
}

impl<M: Machine> ArenaIndex<M> {
    /// log2 of the bytes of the heap that a byte of the bitmap describes.
    const BITS_SHIFT: u32 = {
        assert!(
            M::WORD_BYTES == 4 || M::WORD_BYTES == 8,
            "a word has 4 or 8 bytes"
        );
        M::WORD_BYTES.trailing_zeros() + WORDS_SHIFT
    };

    /// Bytes of a part: what the machine maps.
    pub(crate) const PART_BYTES: usize = M::GEOMETRY.page_bytes();
    /// Pages of the heap behind a part: 16 or 32.
    pub(crate) const PART_PAGES: usize = 1 << Self::BITS_SHIFT;
    /// Bits for the pages behind a part.
    const MOST_PAGES: usize = 32;

    /// A block, by parts: as many as fit below its alignment.
    const BLOCK: BlockShape = {
        let arena = M::GEOMETRY.arena_bytes() >> Self::BITS_SHIFT;
        assert!(
            arena >= Self::PART_BYTES,
            "an arena has as many pages as one page of heap bitmap describes"
        );
        let parts = if M::GEOMETRY.page_shift >= 12 {
            PARTS
        } else {
            PARTS / 2
        };
        let most = parts * Self::PART_BYTES;
        let bytes = if arena < most { arena } else { most };
        BlockShape {
            entries: bytes / size_of::<AtomicUsize>(),
            part_entries: Self::PART_BYTES / size_of::<AtomicUsize>(),
        }
    };

    /// Blocks of an arena.
    const BLOCKS: BlockShape = {
        let bytes = M::GEOMETRY.arena_bytes() >> Self::BITS_SHIFT;
        let count = bytes / Self::BLOCK.block_bytes::<AtomicUsize>();
        BlockShape {
            entries: count,
            part_entries: count,
        }
    };

    /// The part of the bitmap that lies in front of `piece`, which passes no part's end, if the
    /// arena has a bitmap.
    fn stretch(&self, piece: PageRun) -> Option<Stretch<'_>> {
        let arena = self.arenas.get(Self::arena_of(piece.first))?;
        let part = Self::map_of(piece.first) / Self::PART_PAGES;
        let parts = Self::BLOCK.entries / Self::BLOCK.part_entries;
        let block = arena.bits.entry(Self::BLOCKS, part / parts)?;
        let bits = u32::MAX >> (Self::MOST_PAGES - piece.count);
        Some(Stretch {
            block,
            part: part % parts,
            mask: bits << (piece.first.0 % Self::PART_PAGES),
        })
    }

    /// The pages of `run`, by the parts in front of them.
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

    /// Makes the part in front of `piece`, which passes no part's end, Ready, and answers how many
    /// bytes that makes idle, charged as unused metadata. The piece was ensured. The caller holds
    /// the growth gate.
    ///
    /// # Errors
    /// The part is absent, as before.
    pub(crate) fn furnish_bits(
        &self,
        piece: PageRun,
        source: &mut MetadataSource<'_, M>,
    ) -> Result<usize, Cause> {
        self.ensure_blocks(piece.first, source)?;
        let absent = |stretch: &Stretch<'_>| !stretch.is_ready::<M>();
        let Some(Stretch { block, part, .. }) = self.stretch(piece).filter(absent) else {
            return Ok(0);
        };
        let (word, purpose) = (block.word.raw(), Purpose::UnusedMetadata);
        make_whole_part::<M, AtomicUsize>(word, Self::BLOCK, part, purpose, source)?;
        Ok(Self::PART_BYTES)
    }

    fn ensure_blocks(
        &self,
        page: PageIdx,
        source: &mut MetadataSource<'_, M>,
    ) -> Result<(), Cause> {
        let arena = self.arenas.get(Self::arena_of(page));
        let Some(arena) = arena.filter(|arena| arena.bits.entry(Self::BLOCKS, 0).is_none()) else {
            return Ok(());
        };
        let blocks = source.take::<Block>(Purpose::ArenaMetadata, Self::BLOCKS.entries, 0)?;
        sparse::publish_part(arena.bits.raw(), Self::BLOCKS, 0, blocks);
        Ok(())
    }

    /// Says that the pages of `run` are in a scannable span, and answers how many bytes were idle;
    /// `None`, and nothing is changed, if a part behind them is not Ready. The caller holds the
    /// central lock.
    pub(crate) fn claim_bits(&self, run: PageRun) -> Option<usize> {
        let is_ready = |piece| {
            let stretch = self.stretch(piece);
            stretch.is_some_and(|stretch| stretch.is_ready::<M>())
        };
        if !Self::pieces(run).all(is_ready) {
            return None;
        }
        let was_idle = |stretch: &Stretch<'_>| {
            let before = stretch.pages().load(Relaxed);
            stretch.pages().store(before | stretch.mask, Relaxed);
            before == 0
        };
        Some(self.stretches(run).filter(was_idle).count() * Self::PART_BYTES)
    }

    /// Says that the pages of `run` are in no scannable span, whether they were or not, and answers
    /// how many bytes are idle now that were not. The caller holds the central lock.
    pub(crate) fn release_bits(&self, run: PageRun) -> usize {
        let is_idle_now = |stretch: &Stretch<'_>| {
            let before = stretch.pages().load(Relaxed);
            stretch.pages().store(before & !stretch.mask, Relaxed);
            before != 0 && before & !stretch.mask == 0
        };
        self.stretches(run).filter(is_idle_now).count() * Self::PART_BYTES
    }

    /// Takes the first idle part behind `run` back: it is absent from now on, and its memory may
    /// go. The caller holds the growth gate and the central lock.
    pub(crate) fn take_idle_part(&self, run: PageRun, machine: &M) -> Option<IdlePart> {
        Self::pieces(run).find_map(|piece| {
            let stretch = self.stretch(piece)?;
            if !stretch.is_ready::<M>() || stretch.pages().load(Relaxed) != 0 {
                return None;
            }
            let word = stretch.block.word.raw();
            let block = machine.address(sparse::block_base(word, Self::BLOCK)?)?;
            let offset = M::GEOMETRY.offset(block)?.value() + stretch.part * Self::PART_BYTES;
            let base = M::GEOMETRY.address(Offset::new(offset));
            let range = VirtRange::new(base, Self::PART_BYTES)?;
            sparse::take_part_back(word, stretch.part);
            Some(IdlePart { piece, range })
        })
    }

    /// Undoes [`take_idle_part`](Self::take_idle_part), whose memory could not go. The caller holds
    /// the growth gate.
    pub(crate) fn give_part_again(&self, part: &IdlePart) {
        if let Some(stretch) = self.stretch(part.piece) {
            sparse::give_part_again(stretch.block.word.raw(), stretch.part);
        }
    }
}

/// What the bitmap holds.
impl<M: Machine> ArenaIndex<M> {
    /// Units of an arena's bitmap, each a machine word of it, from unit `first` to the end of its
    /// part, if that is Ready. The caller is a counted reader, or has an object there.
    #[inline]
    pub(crate) fn bits_from(&self, arena: usize, first: usize) -> &[AtomicUsize] {
        let entries = Self::BLOCK.entries;
        self.arenas
            .get(arena)
            .and_then(|arena| arena.bits.entry(Self::BLOCKS, first / entries))
            .map_or(&[], |block| {
                block.word.entries_from(Self::BLOCK, first % entries)
            })
    }

    /// Whether `page` is said to be in a scannable span.
    pub(crate) fn is_claimed(&self, page: PageIdx) -> bool {
        self.stretch(PageRun::new(page, 1))
            .is_some_and(|stretch| stretch.pages().load(Relaxed) & stretch.mask != 0)
    }

    /// The numbers of the arenas that hold pages of `run`, which is not empty.
    pub(crate) fn arenas_of(run: PageRun) -> RangeInclusive<usize> {
        let last = PageIdx(run.end().0 - 1);
        Self::arena_of(run.first)..=Self::arena_of(last)
    }

    /// The parts of an arena's bitmap, if it has one.
    pub(crate) fn parts_of(&self, arena: usize) -> impl Iterator<Item = PartView> + '_ {
        let words = self.arenas.get(arena);
        let has_bits = words.is_some_and(|words| words.bits.entry(Self::BLOCKS, 0).is_some());
        let pages = if has_bits {
            M::GEOMETRY.arena_pages()
        } else {
            0
        };
        let run = PageRun::new(PageIdx(arena << Self::MAP_SHIFT), pages);
        Self::pieces(run).filter_map(|piece| {
            let stretch = self.stretch(piece)?;
            Some(PartView {
                first: piece.first,
                is_ready: stretch.is_ready::<M>(),
                claimed: stretch.pages().load(Relaxed),
            })
        })
    }

    /// Whether all words in pages behind a part are dead that are in no scannable span.
    pub(crate) fn is_dead_where_unclaimed(&self, part: &PartView) -> bool {
        let page_units = Self::PART_BYTES / size_of::<AtomicUsize>() / Self::PART_PAGES;
        let first = Self::map_of(part.first) * page_units;
        let units = self.bits_from(Self::arena_of(part.first), first);
        let pages = units.chunks(page_units).take(Self::PART_PAGES);
        pages.enumerate().all(|(page, units)| {
            part.claimed >> page & 1 != 0 || units.iter().all(|unit| unit.load(Relaxed) == 0)
        })
    }
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl<M: Machine> ArenaIndex<M> {
    pub(crate) fn plant_claim(&self, run: PageRun) {
        for stretch in self.stretches(run) {
            stretch.pages().fetch_or(stretch.mask, Relaxed);
        }
    }
}
