//! Runs of pages as tokens: wanted, in transit, and Ready.
//!
//! A token is neither `Copy` nor `Clone`: who holds it is the only one who may commit the pages,
//! use them, or free them. A run at rest is recorded by its user, such as a span's record, who
//! makes the token again with [`ReadyRun::assume`].

use archipelago_api::Machine;

use crate::base::{PageIdx, PageRun, Shape};
use crate::region::Cause;
use crate::span::Scan;

/// The run that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// How many pages.
    pub(crate) pages: usize,
    /// The first page is a multiple of this, a power of two.
    pub(crate) align_pages: usize,
    /// Whether the heap bitmap that covers the run is to be Ready too.
    pub(crate) scan: Scan,
    /// Whether the run may grow where it is.
    pub(crate) grows: bool,
}

impl Want {
    /// A run of `pages` pages anywhere, without heap bitmap.
    pub(crate) const fn pages(pages: usize) -> Self {
        Self {
            pages,
            align_pages: 1,
            scan: Scan::NO,
            grows: false,
        }
    }

    /// Notes that the run may grow where it is.
    pub(crate) const fn that_grows(self) -> Self {
        Self {
            grows: true,
            ..self
        }
    }

    /// Sets whether the run is for objects that may hold pointers.
    #[inline(always)]
    pub(crate) const fn for_scan(self, scan: Scan) -> Self {
        Self { scan, ..self }
    }

    /// The refusal of a run for which no window has room, of which the largest piece of address
    /// space has `largest` pages.
    pub(super) const fn has_no_window<S: Shape>(self, largest: usize) -> Cause {
        let shift = S::GEOMETRY.page_shift;
        Cause::Window {
            bytes: self.pages << shift,
            align: self.align_pages << shift,
            largest: largest << shift,
        }
    }

    /// Whether `page` may be the first.
    pub(super) const fn starts_at(self, page: PageIdx) -> bool {
        page.0 & (self.align_pages - 1) == 0
    }
}

/// A run that is taken and may lack memory: the scavenged bits of its pages say which do.
///
/// # Invariants
/// 1. The pages are owned and taken, and no other token or record names them.
/// 2. Those with a set scavenged bit are Prepared, the others Ready and charged as before.
#[derive(Debug)]
#[must_use = "pages in transit are lost unless they are settled or freed"]
pub(crate) struct Transit {
    run: PageRun,
    scavenged: usize,
    /// All but so many of the first pages are known to be zero or lack memory.
    unclear: usize,
}

impl Transit {
    /// The token of pages that were just taken, `scavenged` of which lack memory.
    ///
    /// # Safety
    /// The invariants of the type hold.
    #[inline(always)]
    pub(super) const unsafe fn assume(run: PageRun, scavenged: usize) -> Self {
        Self {
            run,
            scavenged,
            unclear: run.count,
        }
    }

    /// How many of the first pages may hold others than zeroes if those that lack memory get such
    /// that is zero.
    #[inline(always)]
    pub(super) const fn unclear(&self) -> usize {
        self.unclear
    }

    /// The run, of which all but the first `unclear` pages are known to be zero or lack memory.
    #[inline(always)]
    pub(super) fn with_unclear(self, unclear: usize) -> Self {
        Self {
            unclear: unclear.min(self.run.count),
            ..self
        }
    }

    /// The pages.
    #[inline(always)]
    pub(super) const fn run(&self) -> PageRun {
        self.run
    }

    /// Whether every page has memory.
    #[inline(always)]
    pub(super) const fn is_ready<M: Machine>(&self) -> bool {
        !M::DECOMMITS || self.scavenged == 0
    }

    /// Whether no page has memory.
    #[inline(always)]
    pub(super) const fn lacks_all(&self) -> bool {
        self.scavenged == self.run.count
    }

    /// The run with `count` pages above it, all of which lack memory.
    ///
    /// # Safety
    /// The invariants hold for those pages.
    #[inline(always)]
    pub(super) const unsafe fn with_above(self, count: usize) -> Self {
        Self {
            run: PageRun::new(self.run.first, self.run.count + count),
            scavenged: self.scavenged + count,
            unclear: self.unclear,
        }
    }

    /// The first `pages` pages, of which there are as many at least, and the others, all of which
    /// lack memory.
    pub(super) const fn split_at(self, pages: usize) -> (Self, Self) {
        let Self { run, scavenged, .. } = self;
        let others = run.count - pages;
        let first = Self {
            run: PageRun::new(run.first, pages),
            scavenged: scavenged - others,
            unclear: pages,
        };
        let others = Self {
            run: PageRun::between(first.run.end(), run.end()),
            scavenged: others,
            unclear: others,
        };
        (first, others)
    }

    /// Gives the token up for the page pool's record.
    #[inline(always)]
    pub(super) const fn record(self) -> PageRun {
        self.run
    }
}

/// A run that is allocated, Ready, and charged to objects.
///
/// # Invariants
/// 1. The pages are owned, taken and Ready, and charged to [`Purpose::Objects`].
/// 2. No other token or record names them, and nothing uses their memory.
///
/// [`Purpose::Objects`]: crate::Purpose::Objects
#[derive(Debug)]
#[must_use = "a run that is dropped is lost: record it or free it"]
pub(crate) struct ReadyRun {
    run: PageRun,
    /// So many of the first pages may hold others than zeroes.
    unclear: usize,
}

impl ReadyRun {
    /// The token of a run that is recorded elsewhere, or was just made Ready.
    ///
    /// # Safety
    /// The invariants of the type hold.
    #[inline(always)]
    pub(crate) const unsafe fn assume(run: PageRun) -> Self {
        Self {
            run,
            unclear: run.count,
        }
    }

    /// The pages.
    #[inline(always)]
    pub(crate) const fn run(&self) -> PageRun {
        self.run
    }

    /// Whether every byte is known to be zero.
    #[inline(always)]
    pub(crate) const fn is_zeroed(&self) -> bool {
        self.unclear == 0
    }

    /// How many of the first pages may hold others than zeroes.
    #[inline(always)]
    pub(crate) const fn unclear(&self) -> usize {
        self.unclear
    }

    /// The run, of which all but the first `unclear` pages are known to be zero.
    #[inline(always)]
    pub(super) fn with_unclear(self, unclear: usize) -> Self {
        Self {
            run: self.run,
            unclear: unclear.min(self.run.count),
        }
    }

    /// Gives the token up for the user's record.
    #[inline(always)]
    pub(crate) const fn record(self) -> PageRun {
        self.run
    }

    /// The first `pages` pages, of which there are as many at least, and the others.
    pub(super) const fn split_at(self, pages: usize) -> (Self, Self) {
        let Self { run, unclear } = self;
        let first = Self {
            run: PageRun::new(run.first, pages),
            unclear: if unclear < pages { unclear } else { pages },
        };
        let others = Self {
            run: PageRun::between(first.run.end(), run.end()),
            unclear: unclear.saturating_sub(pages),
        };
        (first, others)
    }
}

/// A page of heap bitmap that was idle and is absent: a run like any other now, all of it zero.
#[derive(Debug)]
#[must_use = "a page that is dropped is lost: free it or put it back"]
pub(crate) struct IdlePage {
    /// The pages that the part covered, of those that were asked about.
    pub(super) covered: PageRun,
    /// The page of the part.
    pub(super) page: ReadyRun,
}
