//! The page layer of the model: address-ordered first fit, and which pages are Ready.

use core::ops::Range;

/// A run of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Run {
    fn pages(self) -> Range<usize> {
        self.first..self.first + self.count
    }
}

/// Pages that a page cache holds.
const CACHE_PAGES: usize = 64;
/// Runs of at least this many pages pass it by.
const CACHE_LIMIT: usize = 16;

#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// Allocated, or held by the page cache.
    taken: bool,
    /// Was allocated before, and stays Ready.
    ready: bool,
}

/// All pages of one window.
#[derive(Debug)]
pub(super) struct Pages {
    /// Up to the last that was ever taken.
    pages: Vec<Page>,
    limit: usize,
    /// No page below is free.
    search: usize,
    ready: usize,
    cache: bool,
    cached: Option<Cached>,
}

/// The free pages among 64, as bits.
#[derive(Clone, Copy, Debug)]
struct Cached {
    first: usize,
    free: u64,
}

impl Pages {
    pub(super) fn new(limit: usize, cache: bool) -> Self {
        Self {
            pages: Vec::new(),
            limit,
            search: 0,
            ready: 0,
            cache,
            cached: None,
        }
    }

    /// Pages that are Ready.
    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    /// Pages of address space up to the last that was ever taken.
    pub(super) fn extent(&self) -> usize {
        self.pages.len()
    }

    pub(super) fn allocate(&mut self, count: usize) -> Option<Run> {
        if self.cache && count < CACHE_LIMIT {
            if let Some(run) = self.allocate_cached(count) {
                return Some(run);
            }
        }
        let first = self.find(count)?;
        let run = Run { first, count };
        self.take(run);
        Some(run)
    }

    pub(super) fn free(&mut self, run: Run) {
        for page in &mut self.pages[run.pages()] {
            page.taken = false;
        }
        self.search = self.search.min(run.first);
    }

    /// Takes the `more` pages after `run`, if they are free.
    pub(super) fn extend(&mut self, run: Run, more: usize) -> bool {
        let after = Run {
            first: run.first + run.count,
            count: more,
        };
        let free = self.fits(after) && after.pages().all(|page| !self.is_taken(page));
        if free {
            self.take(after);
        }
        free
    }

    fn fits(&self, run: Run) -> bool {
        run.first + run.count <= self.limit
    }

    fn is_taken(&self, page: usize) -> bool {
        self.pages.get(page).is_some_and(|page| page.taken)
    }

    /// The lowest run of `count` free pages.
    fn find(&mut self, count: usize) -> Option<usize> {
        while self.is_taken(self.search) {
            self.search += 1;
        }
        let mut first = self.search;
        let mut page = first;
        while page < first + count {
            if self.is_taken(page) {
                first = page + 1;
            }
            page += 1;
        }
        self.fits(Run { first, count }).then_some(first)
    }

    fn take(&mut self, run: Run) {
        self.reach(run.first + run.count);
        for page in &mut self.pages[run.pages()] {
            self.ready += usize::from(!page.ready);
            *page = Page {
                taken: true,
                ready: true,
            };
        }
    }

    fn reach(&mut self, end: usize) {
        if self.pages.len() < end {
            self.pages.resize(end, Page::default());
        }
    }

    fn allocate_cached(&mut self, count: usize) -> Option<Run> {
        let mut cached = match self.cached.take() {
            Some(cached) => cached,
            None => self.fill_cache()?,
        };
        let mask = (1 << count) - 1;
        let place = (0..=CACHE_PAGES - count).find(|place| cached.free >> place & mask == mask);
        if let Some(place) = place {
            cached.free &= !(mask << place);
        }
        self.cached = Some(cached).filter(|cached| cached.free != 0);
        let first = cached.first + place?;
        let run = Run { first, count };
        self.take(run);
        Some(run)
    }

    /// Takes the free pages among the 64 around the lowest free one, without making them Ready.
    fn fill_cache(&mut self) -> Option<Cached> {
        let first = self.find(1)? / CACHE_PAGES * CACHE_PAGES;
        let end = (first + CACHE_PAGES).min(self.limit);
        self.reach(end);
        let mut free = 0;
        for (place, page) in self.pages[first..end].iter_mut().enumerate() {
            free |= u64::from(!page.taken) << place;
            page.taken = true;
        }
        Some(Cached { first, free })
    }
}
