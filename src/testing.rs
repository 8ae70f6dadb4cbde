//! Doors into single layers for the tests and measurements of this repository.
//!
//! Not part of the crate's interface: nothing here follows semantic versioning.
//!
//! Pages are plain numbers here, counted from offset 0 of the address space.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::AtomicUsize;
use std::alloc::{Layout, alloc_zeroed};
use std::string::String;
use std::sync::Mutex;
use std::vec::Vec;

pub use archipelago_api::Geometry;

use crate::base::sparse::{Entry, Fresh};
use crate::base::{PageIdx, PageRun, Shape};
use crate::page::{self, Bits, MAX_PAGES, PageCache, Pages, State, WORD, Words};
use crate::region::ranges::{Ranges, Slot};
use crate::region::{Cause, Purpose, Source};

/// A geometry as a type.
pub trait TestGeometry: 'static {
    /// The geometry.
    const GEOMETRY: Geometry;
}

/// The shape that a geometry gives.
#[derive(Debug)]
pub(crate) struct Shaped<G>(PhantomData<fn() -> G>);

impl<G: TestGeometry> Shape for Shaped<G> {
    const GEOMETRY: Geometry = {
        G::GEOMETRY.check();
        G::GEOMETRY
    };
}

/// Metadata memory off the host's heap. It is never given back.
#[derive(Debug, Default)]
pub(crate) struct HostSource {
    bytes: [usize; Purpose::ALL.len()],
    requests: usize,
    refused: Option<usize>,
}

/// Keeps what was handed out in reach, so that leak checkers do not mind it.
static HANDED_OUT: Mutex<Vec<HandedOut>> = Mutex::new(Vec::new());

struct HandedOut(#[expect(dead_code, reason = "kept for leak checkers alone")] NonNull<u8>);

// SAFETY: the pointer is never read through.
unsafe impl Send for HandedOut {}

impl HostSource {
    /// Bytes handed out for `purpose`.
    pub(crate) fn bytes(&self, purpose: Purpose) -> usize {
        self.bytes[purpose as usize]
    }

    /// Requests so far, refused ones among them.
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    /// Refuses the request that comes after `served` more, once.
    pub(crate) fn refuse_after(&mut self, served: usize) {
        self.refused = Some(self.requests + served);
    }
}

impl Source for HostSource {
    fn take<T: Entry>(
        &mut self,
        purpose: Purpose,
        count: usize,
        align: usize,
    ) -> Result<Fresh<T>, Cause> {
        let request = self.requests;
        self.requests += 1;
        let refusal = Cause::Frames {
            needed: 1,
            available: 0,
        };
        if self.refused == Some(request) {
            self.refused = None;
            return Err(refusal);
        }
        let layout = Layout::array::<T>(count)
            .and_then(|layout| layout.align_to(align))
            .map_err(|_| refusal)?;
        if layout.size() == 0 {
            return Err(refusal);
        }
        // SAFETY: the layout has a size other than zero.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(refusal)?;
        if let Ok(mut handed_out) = HANDED_OUT.lock() {
            handed_out.push(HandedOut(memory));
        }
        self.bytes[purpose as usize] += layout.size();
        // SAFETY: the host's allocator gave us zeroed memory for `count` entries, aligned for `T`; it is never
        // freed, and this is the only reference to it.
        Ok(unsafe { Fresh::new(memory.cast(), count) })
    }
}

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

/// What a page cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheImage {
    /// The first page of the block.
    pub base: usize,
    /// The pages it holds: bit `i` is page `base + i`.
    pub free: u64,
    /// Those of them without memory.
    pub scavenged: u64,
}

/// The page layer of one heap, with one page cache.
pub struct PageLayer<G> {
    pages: Pages<Shaped<G>>,
    state: State,
    source: HostSource,
    cache: PageCache,
}

impl<G: TestGeometry> PageLayer<G> {
    /// A layer that owns nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            pages: Pages::new(),
            state: State::new(),
            source: HostSource::default(),
            cache: PageCache::EMPTY,
        }
    }

    /// Adds `count` pages from `page`, free and scavenged.
    ///
    /// # Errors
    /// With the reason in words; nothing has changed then.
    pub fn grow(&mut self, page: usize, count: usize) -> Result<(), String> {
        let run = run(page, count);
        let ensured = self.pages.ensure(run, &mut self.source);
        ensured.map_err(|cause| std::format!("{cause}"))?;
        top_up(self.state.owned_mut(), &mut self.source);
        let grown = self.pages.grow(&mut self.state, run);
        grown.map_err(|error| std::format!("{error}"))
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

    /// Fills the page cache, which is empty, and says what it holds now.
    pub fn fill_cache(&mut self) -> Option<CacheImage> {
        debug_assert!(self.cache.is_empty(), "a cache is filled when it is empty");
        self.cache = self.pages.fill_cache(&mut self.state)?;
        let (free, scavenged) = self.cache.bitmaps();
        Some(CacheImage {
            base: self.cache.base().0,
            free,
            scavenged,
        })
    }

    /// Takes `count` pages from the page cache alone.
    pub fn cache_alloc(&mut self, count: usize) -> Option<Taken> {
        self.cache.alloc(count).map(Taken::from)
    }

    /// Gives back what the page cache holds.
    pub fn flush_cache(&mut self) {
        self.pages.flush_cache(&mut self.state, &mut self.cache);
    }

    /// Checks every invariant.
    ///
    /// # Errors
    /// With the name of the first that is broken.
    pub fn verify(&self) -> Result<(), &'static str> {
        self.pages.verify(&self.state)
    }

    /// The runs of pages that are not free among the `count` pages from `page`, numbered from `page`.
    #[must_use]
    pub fn taken_runs(&self, page: usize, count: usize) -> Vec<Range<usize>> {
        self.runs_where(page, count, |page| !self.pages.is_free(&self.state, page))
    }

    /// The runs of free pages without memory among the `count` pages from `page`, numbered from `page`.
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

/// One chunk's bitmap of free pages, on its own.
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

/// Sorted, coalescing ranges of whatever is counted.
#[derive(Debug)]
pub struct RangeList {
    ranges: Ranges,
    source: HostSource,
}

impl RangeList {
    /// No ranges.
    #[must_use]
    pub fn new() -> Self {
        Self {
            ranges: Ranges::new(),
            source: HostSource::default(),
        }
    }

    /// Adds a range; false if it is empty or overlaps one that is there.
    pub fn add(&mut self, range: Range<usize>) -> bool {
        top_up(&mut self.ranges, &mut self.source);
        self.ranges.add(run(range.start, range.len())).is_ok()
    }

    /// The index of the first range that begins above `at`.
    #[must_use]
    pub fn find_succ(&self, at: usize) -> usize {
        self.ranges.find_succ(PageIdx(at))
    }

    /// The ranges, lowest first.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<usize>> {
        let ranges = self.ranges.iter();
        ranges.map(|run| run.first.0..run.end().0).collect()
    }

    /// The sum of all lengths.
    #[must_use]
    pub fn total(&self) -> usize {
        self.ranges.total_pages()
    }

    /// Checks every invariant.
    ///
    /// # Errors
    /// With the name of the first that is broken.
    pub fn verify(&self) -> Result<(), &'static str> {
        self.ranges.verify()
    }
}

impl Default for RangeList {
    fn default() -> Self {
        Self::new()
    }
}

/// Numbers that look random and are the same in every run: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = usize::try_from(self.bits() >> 33).unwrap_or(0);
        number.checked_rem(bound).unwrap_or(0)
    }

    /// Puts `items` in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

fn run(page: usize, count: usize) -> PageRun {
    PageRun::new(PageIdx(page), count)
}

/// Makes sure that one more range fits.
pub(crate) fn top_up(ranges: &mut Ranges, source: &mut HostSource) {
    let Some(slots) = ranges.needs_room() else {
        return;
    };
    if let Ok(memory) = source.take(Purpose::Ranges, slots, align_of::<Slot>()) {
        ranges.adopt(memory);
    }
}
