//! Runs that lie in one word of a bitmap: found, taken and freed in one look at the word.
//!
//! That is what spans ask for most of the time. Most of these runs change no summary, because they
//! are neither the longest of their chunk nor at one of its ends. Whatever is not so simple is left
//! to the general way, with nothing changed.

use core::ops::Range;

use crate::base::{PageIdx, PageRun, Shape};

use super::bits::{Bits, WORD, run_starts};
use super::free_pages::{FreePages, Taken};
use super::state::{LONGEST_BOUND, State};
use super::summary::{self, Value};
use super::tree::{Chunk, Piece, Tree};

/// Pages of one word.
#[derive(Clone, Copy)]
struct Spot {
    /// The word, counted from the start of the chunk.
    index: usize,
    /// The first page, counted from the start of the word.
    bit: usize,
    /// The bits of the pages.
    mask: usize,
}

impl Spot {
    /// The `count` pages from `page` of a chunk on, if all of them are of one word.
    #[inline(always)]
    const fn new(page: usize, count: usize) -> Option<Self> {
        let bit = page % WORD;
        if count == 0 || count > WORD - bit {
            return None;
        }
        Some(Self {
            index: page / WORD,
            bit,
            mask: usize::MAX >> (WORD - count) << bit,
        })
    }
}

impl<S: Shape> FreePages<S> {
    /// Takes the lowest free run of `count` pages if it is in the chunk where its search begins.
    #[inline]
    pub(super) fn alloc_near(&self, state: &mut State, count: usize) -> Option<Taken> {
        let from = state.search_for(count)?;
        let number = from.0 >> Tree::<S>::CHUNK_SHIFT;
        let chunk = self.tree.chunk_from(state.top(), number)?;
        if summary::longest(chunk.value) < count {
            return None;
        }
        let first = Self::first_near(chunk, from.0 % Tree::<S>::CHUNK_PAGES, count)?;
        let piece = Piece {
            chunk: number,
            first,
            count,
        };
        let taken = match Spot::new(first, count) {
            Some(spot) => Taken {
                run: Tree::<S>::run_of(piece),
                scavenged: self.take_spot(state, chunk, (spot, piece), count - 1),
            },
            None => self.mark_piece_taken(state, chunk, piece, count - 1),
        };
        if count == 1 {
            state.none_free_below_owned(taken.run.first);
        }
        state.no_run_below(count, taken.run.end());
        Some(taken)
    }

    /// The first of the lowest `count` free pages side by side from page `from` of `chunk` on.
    #[inline(always)]
    pub(super) fn first_near(chunk: Chunk<'_>, from: usize, count: usize) -> Option<usize> {
        let mut ignored = from % WORD;
        let mut index = from / WORD;
        loop {
            let word = chunk.free.word_or_none(index)? >> ignored << ignored;
            let starts = run_starts(word, count);
            if starts != 0 {
                return Some(index * WORD + starts.trailing_zeros() as usize);
            }
            if word >> (WORD - 1) != 0 {
                // The last pages of the word may be the first ones.
                let from = index * WORD + ignored;
                return Some(chunk.free.find(count, from)?.first);
            }
            (index, ignored) = (index + 1, 0);
        }
    }

    /// Takes the free pages from `page` up that are scavenged, `most` of them at most and all of
    /// one word. The page below is taken. Returns how many.
    pub(crate) fn take_scavenged(&self, state: &mut State, page: PageIdx, most: usize) -> usize {
        let number = page.0 >> Tree::<S>::CHUNK_SHIFT;
        let Some(chunk) = self.tree.chunk_from(state.top(), number) else {
            return 0;
        };
        let first = page.0 % Tree::<S>::CHUNK_PAGES;
        let both = chunk.free.word(first / WORD) & chunk.scavenged.word(first / WORD);
        let count = (both >> (first % WORD)).trailing_ones() as usize;
        let count = count.min(most);
        let Some(spot) = Spot::new(first, count) else {
            return 0;
        };
        let piece = Piece {
            chunk: number,
            first,
            count,
        };
        self.take_spot(state, chunk, (spot, piece), usize::MAX)
    }

    /// Takes the pages of `piece`, all of them at `spot`, which are the first of a free run. No run
    /// below in the chunk has more than `most_below` pages. Returns how many of them are scavenged.
    #[inline(always)]
    fn take_spot(
        &self,
        state: &mut State,
        chunk: Chunk<'_>,
        (spot, piece): (Spot, Piece),
        most_below: usize,
    ) -> usize {
        let word = chunk.free.word(spot.index);
        chunk.free.put_word(spot.index, word & !spot.mask);
        let end = piece.first + piece.count;
        // Free pages that are left above.
        let left = if piece.first + summary::end(chunk.value) < Tree::<S>::CHUNK_PAGES {
            chunk.free.run_above(end)
        } else {
            Tree::<S>::CHUNK_PAGES - end
        };
        let is_longest = piece.count + left == summary::longest(chunk.value);
        if is_longest || piece.first == 0 || end + left == Tree::<S>::CHUNK_PAGES {
            let run = piece.first..end + left;
            self.note_taken(
                state,
                (chunk.value, chunk.free),
                piece.chunk,
                (run, left),
                most_below,
            );
        }
        let scavenged = Self::scavenged_at(chunk, spot, piece.count);
        state.free -= piece.count;
        state.scavenged -= scavenged;
        scavenged
    }

    /// Notes that the first pages of `run`, all but the last `left`, were taken in chunk `number`,
    /// if that may change the chunk's summary. No run below has more than `most_below` pages.
    #[inline(never)]
    fn note_taken(
        &self,
        state: &State,
        (value, free): (&Value, Bits<'_>),
        number: usize,
        (run, left): (Range<usize>, usize),
        most_below: usize,
    ) {
        let old = summary::load(value);
        let pages = Tree::<S>::CHUNK_PAGES;
        let mut new = old;
        if run.start == 0 {
            new.start = 0;
        }
        if run.end == pages {
            new.end = left;
        }
        if run.len() == old.max {
            // It may have been the only run of that length.
            new.max = left;
            if left < pages - run.end {
                new.max = free.longest(run.end..pages, left, old.max);
            }
            let most_below = most_below.min(run.start);
            if new.max < most_below {
                new.max = free.longest(0..run.start, new.max, most_below);
            }
        }
        self.note_summary(state, value, number, new);
    }

    /// Notes that all of `run` has memory now if it lies in one word; `None`, and nothing is
    /// changed, if not, or if a page of it is not taken.
    #[inline]
    pub(super) fn made_ready_near(&self, state: &State, run: PageRun) -> Option<()> {
        let (chunk, spot) = self.taken_spot(state, run)?;
        let scavenged = chunk.scavenged.word(spot.index);
        chunk.scavenged.put_word(spot.index, scavenged & !spot.mask);
        Some(())
    }

    /// The chunk of `run` and the place in it, if the run is owned, lies in one word, and none of
    /// it is free.
    #[inline(always)]
    fn taken_spot(&self, state: &State, run: PageRun) -> Option<(Chunk<'_>, Spot)> {
        let spot = Spot::new(run.first.0 % Tree::<S>::CHUNK_PAGES, run.count)?;
        if !state.owned.contains_run(run) {
            return None;
        }
        let number = run.first.0 >> Tree::<S>::CHUNK_SHIFT;
        let chunk = self.tree.chunk_from(state.top(), number)?;
        let is_taken = chunk.free.word(spot.index) & spot.mask == 0;
        is_taken.then_some((chunk, spot))
    }

    /// Frees `run` if it lies in one word; `None`, and nothing is changed, if not, or if a page of
    /// it is not taken.
    #[inline]
    pub(super) fn free_near(&self, state: &mut State, run: PageRun) -> Option<()> {
        let first = run.first.0 % Tree::<S>::CHUNK_PAGES;
        let number = run.first.0 >> Tree::<S>::CHUNK_SHIFT;
        let (chunk, spot) = self.taken_spot(state, run)?;
        let with = chunk.free.word(spot.index) | spot.mask;
        // Both count the first page.
        let mut up = (with >> spot.bit).trailing_ones() as usize;
        let mut down = (with << (WORD - 1 - spot.bit)).leading_ones() as usize;
        if spot.bit + up == WORD {
            let above = (spot.index + 1) * WORD;
            up += if above + summary::end(chunk.value) < Tree::<S>::CHUNK_PAGES {
                chunk.free.run_above(above)
            } else {
                Tree::<S>::CHUNK_PAGES - above
            };
        }
        if down > spot.bit {
            down += chunk.free.run_below(spot.index * WORD);
        }
        let scavenged = Self::scavenged_at(chunk, spot, run.count);
        if S::SCAVENGES && scavenged < run.count && !summary::may_be_ready(chunk.value) {
            self.tree.hint_ready(number);
        }
        chunk.free.put_word(spot.index, with);
        state.free += run.count;
        state.scavenged += scavenged;
        state.became_free(run.first);
        let longer = up + down - 1;
        let is_at_end = down > first || first + up == Tree::<S>::CHUNK_PAGES;
        if is_at_end || longer > summary::longest(chunk.value) {
            self.note_freed(state, chunk.value, run.first, (up, down));
        } else {
            state.run_became_free(PageIdx(run.first.0 + 1 - down), longer);
        }
        Some(())
    }

    /// Notes that `page` is one of a free run now, of which its chunk has `up` pages from there up
    /// and `down` from there down. `value` is the chunk's summary.
    #[inline(never)]
    fn note_freed(
        &self,
        state: &mut State,
        value: &Value,
        page: PageIdx,
        (up, down): (usize, usize),
    ) {
        let first = page.0 % Tree::<S>::CHUNK_PAGES;
        let run = up + down - 1;
        let mut new = summary::load(value);
        new.max = new.max.max(run);
        let (mut start, mut longest) = (page.0 + 1 - down, run);
        if down > first {
            new.start = run;
            // It may go on below.
            (start, longest) = (start.saturating_sub(LONGEST_BOUND), LONGEST_BOUND);
        }
        if first + up == Tree::<S>::CHUNK_PAGES {
            new.end = run;
            // It may go on above.
            longest = LONGEST_BOUND;
        }
        self.note_summary(state, value, page.0 >> Tree::<S>::CHUNK_SHIFT, new);
        state.run_became_free(PageIdx(start), longest);
    }

    /// How many of the `count` pages at `spot` are scavenged.
    #[inline(always)]
    fn scavenged_at(chunk: Chunk<'_>, spot: Spot, count: usize) -> usize {
        if !S::SCAVENGES {
            return 0;
        }
        let scavenged = chunk.scavenged.word(spot.index) & spot.mask;
        if scavenged == 0 {
            0
        } else if scavenged == spot.mask {
            count
        } else {
            scavenged.count_ones() as usize
        }
    }
}
