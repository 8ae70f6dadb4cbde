//! The page layer alone.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::AtomicUsize;

use crate::base::{PageIdx, PageRun};
use crate::page::{self, Bits, FreePages, MAX_PAGES, State, WORD, Words};
use crate::region::Purpose;

use super::cache::CacheImage;
use super::source::{HostSource, top_up};
use super::{Shaped, TestGeometry, run};

/// A run that was taken: its first page, and how many of its pages had no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The first page.
    pub page: usize,
    /// Pages without memory.
    pub scavenged: usize,
}

impl From<page::Taken> for Taken {
    fn from(taken: page::Taken) -> Self {
        Self {
            page: taken.run.first.0,
            scavenged: taken.scavenged,
        }
    }
}

/// The page layer of one heap, with pages that were taken for a cache.
pub struct PageLayer<G> {
    pages: FreePages<Shaped<G>>,
    state: State,
    source: HostSource,
    cache: CacheImage,
}

impl<G: TestGeometry> PageLayer<G> {
    /// A layer that owns nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            pages: FreePages::new(),
            state: State::new(),
            source: HostSource::default(),
            cache: CacheImage::default(),
        }
    }

    /// Adds `count` pages from `page`, free and scavenged.
    ///
    /// # Errors
    /// With the reason in words; nothing has changed then.
    pub fn grow(&mut self, page: usize, count: usize) -> Result<(), String> {
        let run = run(page, count);
        let ensured = self.pages.ensure(run, &mut self.source);
        ensured.map_err(|cause| alloc::format!("{cause}"))?;
        top_up(self.state.owned_mut(), &mut self.source);
        let grown = self.pages.grow(&mut self.state, run);
        grown.map_err(|error| alloc::format!("{error}"))
    }

    /// Takes the lowest run of `count` pages.
    pub fn alloc(&mut self, count: usize) -> Option<Taken> {
        self.pages.alloc(&mut self.state, count).map(Taken::from)
    }

    /// Takes the lowest run of `count` pages at a multiple of `align` pages.
    pub fn alloc_aligned(&mut self, count: usize, align: usize) -> Option<Taken> {
        let taken = self.pages.alloc_aligned(&mut self.state, count, align);
        taken.map(Taken::from)
    }

    /// Where `alloc` would take `count` pages, without taking them.
    #[must_use]
    pub fn find(&self, count: usize) -> Option<usize> {
        let found = self.pages.lowest_run(&self.state, count)?;
        Some(found.run.first.0)
    }

    /// Takes exactly the `count` pages from `page`.
    pub fn take(&mut self, page: usize, count: usize) -> Option<Taken> {
        let taken = self.pages.take(&mut self.state, run(page, count));
        taken.map(Taken::from)
    }

    /// Takes, of each block of 64 of the `count` pages from `page`, the free ones whose bits
    /// `pattern` returns, the lowest block first. The pages are owned, and are whole aligned
    /// blocks.
    pub fn take_pattern(&mut self, page: usize, count: usize, pattern: impl FnMut() -> u64) {
        self.pages
            .take_pattern(&mut self.state, run(page, count), pattern);
    }

    /// Frees the `count` pages from `page`; false if one of them was not taken.
    pub fn free(&mut self, page: usize, count: usize) -> bool {
        self.pages.free(&mut self.state, run(page, count)).is_ok()
    }

    /// Notes that taken pages have memory; false if one of them is not taken.
    pub fn made_ready(&mut self, page: usize, count: usize) -> bool {
        self.pages
            .made_ready(&mut self.state, run(page, count))
            .is_ok()
    }

    /// Notes that taken pages have none; false if one of them is not taken.
    pub fn set_scavenged(&mut self, page: usize, count: usize) -> bool {
        let noted = self.pages.set_scavenged(&mut self.state, run(page, count));
        noted.is_ok()
    }

    /// Takes all free pages of the block of the lowest one for the cache, which is empty, and
    /// returns its content.
    pub fn fill_cache(&mut self) -> Option<CacheImage> {
        debug_assert!(self.cache.free == 0, "a cache is filled when it is empty");
        let base = self.find(1)? / CacheImage::PAGES * CacheImage::PAGES;
        let mut cache = CacheImage {
            base,
            ..CacheImage::default()
        };
        for bit in 0..CacheImage::PAGES {
            if let Some(taken) = self.take(base + bit, 1) {
                cache.free |= 1 << bit;
                cache.scavenged |= (taken.scavenged as u64) << bit;
            }
        }
        self.cache = cache;
        Some(cache)
    }

    /// Takes `count` pages from the cache alone.
    pub fn cache_alloc(&mut self, count: usize) -> Option<Taken> {
        self.cache.alloc(count)
    }

    /// Frees the pages of the cache.
    pub fn flush_cache(&mut self) {
        let cache = core::mem::take(&mut self.cache);
        for bit in (0..CacheImage::PAGES).filter(|bit| cache.free >> bit & 1 == 1) {
            let is_freed = self.free(cache.base + bit, 1);
            debug_assert!(is_freed, "the pages of a cache are taken");
        }
    }

    /// Checks every invariant.
    ///
    /// # Errors
    /// With the name of the first that is broken.
    pub fn verify(&self) -> Result<(), &'static str> {
        self.pages.verify(&self.state)
    }

    /// The runs of pages that are not free among the `count` pages from `page`, numbered from
    /// `page`.
    #[must_use]
    pub fn taken_runs(&self, page: usize, count: usize) -> Vec<Range<usize>> {
        self.runs_where(page, count, |page| !self.pages.is_free(&self.state, page))
    }

    /// The runs of free pages without memory among the `count` pages from `page`, numbered from
    /// `page`.
    #[must_use]
    pub fn scavenged_runs(&self, page: usize, count: usize) -> Vec<Range<usize>> {
        self.runs_where(page, count, |page| {
            let scavenged = self.pages.count_scavenged(PageRun::new(page, 1)) == 1;
            scavenged && self.pages.is_free(&self.state, page)
        })
    }

    fn runs_where(
        &self,
        page: usize,
        count: usize,
        holds: impl Fn(PageIdx) -> bool,
    ) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for at in (0..count).filter(|at| holds(PageIdx(page + at))) {
            match runs.last_mut() {
                Some(last) if last.end == at => last.end += 1,
                _ => runs.push(at..at + 1),
            }
        }
        runs
    }

    /// Pages of the longest free run.
    #[must_use]
    pub fn largest_run(&self) -> usize {
        self.pages.largest_run(&self.state)
    }

    /// Free pages, and those of them without memory.
    #[must_use]
    pub fn totals(&self) -> (usize, usize) {
        (self.state.free_pages(), self.state.scavenged_pages())
    }

    /// Bytes of metadata memory that tables, bitmaps and ranges took.
    #[must_use]
    pub fn metadata_bytes(&self) -> usize {
        let purposes = [Purpose::Summaries, Purpose::ChunkBitmaps, Purpose::Ranges];
        purposes
            .map(|purpose| self.source.bytes(purpose))
            .iter()
            .sum()
    }
}

impl<G: TestGeometry> Default for PageLayer<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G> fmt::Debug for PageLayer<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageLayer")
            .field("state", &self.state)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// The bitmap of free pages of a chunk, on its own.
pub struct Bitmap {
    words: Words,
    pages: usize,
}

impl Bitmap {
    /// A chunk of `pages` pages, all free but those in `taken`.
    #[must_use]
    pub fn new(pages: usize, taken: &[Range<usize>]) -> Self {
        let bitmap = Self {
            words: [const { AtomicUsize::new(0) }; MAX_PAGES / WORD],
            pages,
        };
        bitmap.bits().set(0, pages);
        for run in taken {
            bitmap.bits().clear(run.start, run.len());
        }
        bitmap
    }

    fn bits(&self) -> Bits<'_> {
        Bits::new(&self.words, self.pages)
    }

    /// Free pages at the start, the longest free run, free pages at the end.
    #[must_use]
    pub fn summary(&self) -> [usize; 3] {
        let summary = self.bits().summary();
        [summary.start, summary.max, summary.end]
    }

    /// The lowest free run of `count` pages at or above `from`.
    #[must_use]
    pub fn find(&self, count: usize, from: usize) -> Option<usize> {
        self.bits().find(count, from).map(|found| found.first)
    }

    /// How many of the `count` pages from `first` are free.
    #[must_use]
    pub fn free_pages(&self, first: usize, count: usize) -> usize {
        self.bits().count(first, count)
    }
}

impl fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bitmap").field(&self.bits()).finish()
    }
}
