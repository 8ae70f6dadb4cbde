//! The page cache: up to 64 pages that one CPU takes from at once, to give out singly.
//!
//! The pages of a cache are taken as far as anybody else can see, and their scavenged bits stay
//! where they are; so pages that come out of a cache are in the same state as pages that were taken
//! directly.

use crate::base::{PageIdx, PageRun, Shape};

use super::bits;
use super::free_pages::{FreePages, Taken};
use super::state::State;
use super::summary;
use super::tree::Tree;

/// Pages of the block that a cache takes its pages from.
pub(crate) const BLOCK_PAGES: usize = 64;

/// Pages that one owner holds back for itself, from one aligned block of [`BLOCK_PAGES`], or of a
/// chunk if that is smaller.
#[derive(Debug)]
pub(crate) struct PageCache {
    /// The first page of the block.
    pub(super) base: PageIdx,
    /// The pages that are left: bit `i` is page `base + i`.
    pub(super) free: u64,
    /// The pages among them that are scavenged.
    pub(super) scavenged: u64,
}

impl PageCache {
    /// A cache without pages.
    pub(crate) const EMPTY: Self = Self {
        base: PageIdx(0),
        free: 0,
        scavenged: 0,
    };

    /// Whether there are no pages left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.free == 0
    }

    /// How many pages are left.
    pub(crate) const fn pages(&self) -> usize {
        self.free.count_ones() as usize
    }

    /// How many of the pages that are left are scavenged.
    pub(crate) const fn scavenged_pages(&self) -> usize {
        self.scavenged.count_ones() as usize
    }

    /// Whether `page` is left.
    pub(crate) fn holds(&self, page: PageIdx) -> bool {
        self.bit_of(page)
            .is_some_and(|bit| self.free >> bit & 1 == 1)
    }

    /// Whether `page` is left and scavenged.
    pub(crate) fn is_scavenged(&self, page: PageIdx) -> bool {
        self.bit_of(page)
            .is_some_and(|bit| self.scavenged >> bit & 1 == 1)
    }

    /// Whether a page of `run` is left.
    pub(crate) fn holds_any(&self, run: PageRun) -> bool {
        runs(self.free).any(|(first, count)| {
            let own = PageRun::new(self.base.plus(first), count);
            own.overlaps(run)
        })
    }

    fn bit_of(&self, page: PageIdx) -> Option<usize> {
        let bit = page.0.checked_sub(self.base.0)?;
        (bit < BLOCK_PAGES).then_some(bit)
    }

    /// Takes the lowest run of `count` pages out of the cache; `None` if there is none, or `count`
    /// is zero.
    #[inline]
    pub(crate) fn alloc(&mut self, count: usize) -> Option<Taken> {
        if count == 0 {
            return None;
        }
        let bit = bits::first_run(self.free, count)?;
        let mask = u64::MAX >> (BLOCK_PAGES - count) << bit;
        let scavenged = (self.scavenged & mask).count_ones() as usize;
        self.free &= !mask;
        self.scavenged &= !mask;
        Some(Taken {
            run: PageRun::new(self.base.plus(bit), count),
            scavenged,
        })
    }
}

impl PageCache {
    /// Takes the pages from `page` up that are left and scavenged, `most` of them at most. Returns
    /// how many.
    pub(crate) fn take_scavenged(&mut self, page: PageIdx, most: usize) -> usize {
        let Some(bit) = self.bit_of(page) else {
            return 0;
        };
        let above = (self.scavenged >> bit).trailing_ones() as usize;
        let count = above.min(most);
        if let Some(mask) = mask(bit, count) {
            self.free &= !mask;
            self.scavenged &= !mask;
        }
        count
    }

    /// Puts pages that are taken and Ready into the cache; `false`, and nothing is changed, if it
    /// is of another block.
    pub(crate) fn put_back(&mut self, run: PageRun) -> bool {
        let bit = self.bit_of(run.first).filter(|_| !self.is_empty());
        let Some(mask) = bit.and_then(|bit| mask(bit, run.count)) else {
            return false;
        };
        self.free |= mask;
        true
    }
}

/// The bits of `count` pages from `bit` up, if there are some and all are in one block.
fn mask(bit: usize, count: usize) -> Option<u64> {
    let is_inside = count > 0 && bit + count <= BLOCK_PAGES;
    is_inside.then(|| u64::MAX >> (BLOCK_PAGES - count) << bit)
}

impl<S: Shape> FreePages<S> {
    /// Takes all free pages of the aligned block that holds the lowest free page; `None` if no page
    /// is free.
    ///
    /// What the cache still holds in the end goes back with [`flush_cache`](Self::flush_cache).
    pub(crate) fn fill_cache(&self, state: &mut State) -> Option<PageCache> {
        let Some(lowest) = self.lowest(state, 1) else {
            state.none_free();
            return None;
        };
        let block = BLOCK_PAGES.min(Tree::<S>::CHUNK_PAGES);
        let base = PageIdx(lowest.0 / block * block);
        let mut cache = PageCache {
            base,
            ..PageCache::EMPTY
        };
        self.change(state.top(), PageRun::new(base, block), |chunk, piece| {
            cache.free = chunk.free.block(piece.first);
            cache.scavenged = chunk.scavenged.block(piece.first) & cache.free;
            chunk.free.clear(piece.first, block);
            chunk.free.summary()
        });
        state.free -= cache.free.count_ones() as usize;
        state.scavenged -= cache.scavenged.count_ones() as usize;
        // The page above the block may not be owned, the highest page that was free is.
        let highest = (u64::BITS - 1).saturating_sub(cache.free.leading_zeros()) as usize;
        state.none_free_below_owned(base.plus(highest));
        Some(cache)
    }

    /// Frees the pages that `cache` still holds, and leaves it empty.
    pub(crate) fn flush_cache(&self, state: &mut State, cache: &mut PageCache) {
        let PageCache {
            base,
            free,
            scavenged,
        } = core::mem::replace(cache, PageCache::EMPTY);
        if free == 0 {
            return;
        }
        let lowest = free.trailing_zeros() as usize;
        let pages = (u64::BITS - free.leading_zeros()) as usize - lowest;
        self.change(
            state.top(),
            PageRun::new(base.plus(lowest), pages),
            |chunk, piece| {
                for (first, count) in runs(free) {
                    chunk.free.set(piece.first + first - lowest, count);
                }
                if S::SCAVENGES && free != scavenged && !summary::may_be_ready(chunk.value) {
                    self.tree.hint_ready(piece.chunk);
                }
                chunk.free.summary()
            },
        );
        state.free += free.count_ones() as usize;
        state.scavenged += scavenged.count_ones() as usize;
        state.became_free(base.plus(lowest));
    }
}

/// The runs of ones in `word`, lowest first.
fn runs(word: u64) -> impl Iterator<Item = (usize, usize)> {
    let mut left = word;
    core::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let first = left.trailing_zeros();
        let count = (left >> first).trailing_ones();
        left &= !(u64::MAX >> (u64::BITS - count) << first);
        Some((first as usize, count as usize))
    })
}
