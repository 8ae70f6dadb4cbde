//! The state that the page lock guards: the owned pages, how many are free, and where a search
//! begins.

use core::fmt;

use crate::base::{PageIdx, PageRun};
use crate::region::ranges::{Ranges, RangesError};

use super::tree::Top;

/// Why the page layer left everything as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PagesError {
    /// The run has no pages, or pages that are none of the address space.
    OutsideSpace,
    /// The run's nodes and bitmaps were not ensured.
    NotEnsured,
    /// The ranges that the heap owns cannot take the run.
    Ranges(RangesError),
    /// Pages of the run are not taken: they are free, or not the heap's.
    NotTaken,
}

impl fmt::Display for PagesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutsideSpace => f.write_str("the run is empty or leaves the address space"),
            Self::NotEnsured => f.write_str("the run has no tables"),
            Self::Ranges(error) => error.fmt(f),
            Self::NotTaken => f.write_str("pages of the run are not taken"),
        }
    }
}

/// The part of the page layer that the page lock guards. Holding it mutably proves the lock.
#[derive(Debug)]
pub(crate) struct State {
    /// The pages that the heap owns.
    pub(super) owned: Ranges,
    /// Free pages.
    pub(super) free: usize,
    /// Free pages that are scavenged.
    pub(super) scavenged: usize,
    /// No page below it is free; `None` if no page is.
    pub(super) search: Option<PageIdx>,
    /// The top of the tree: the lowest node above every owned page.
    top: Top,
    /// Bounds for the searches of short runs, which longer ones begin at as well. No run of `n + 2`
    /// pages starts below the bound at `n`. The bound of a longer run is no lower than that of a
    /// shorter one.
    bounds: [PageIdx; LONGEST_BOUND - 1],
}

/// Pages of the longest run whose searches have a bound of their own: longer ones begin there too.
/// One less where a heap has to fit a kilobyte.
pub(super) const LONGEST_BOUND: usize = if usize::BITS == 64 { 5 } else { 4 };

impl State {
    /// A state without pages.
    pub(crate) const fn new() -> Self {
        Self {
            owned: Ranges::new(),
            free: 0,
            scavenged: 0,
            search: None,
            top: Top::ROOT,
            bounds: [PageIdx(0); LONGEST_BOUND - 1],
        }
    }

    /// The pages that the heap owns.
    pub(crate) const fn owned(&self) -> &Ranges {
        &self.owned
    }

    /// The array of owned ranges, to top it up.
    pub(crate) const fn owned_mut(&mut self) -> &mut Ranges {
        &mut self.owned
    }

    /// Free pages.
    pub(crate) const fn free_pages(&self) -> usize {
        self.free
    }

    /// Free pages that have no memory.
    pub(crate) const fn scavenged_pages(&self) -> usize {
        self.scavenged
    }

    /// The search address: no page below it is free. It is an owned page, or `None` if no page is
    /// free.
    #[inline]
    pub(super) const fn search(&self) -> Option<PageIdx> {
        self.search
    }

    /// The top of the tree.
    #[inline]
    pub(super) const fn top(&self) -> Top {
        self.top
    }

    /// Sets the top of the tree.
    pub(super) const fn set_top(&mut self, top: Top) {
        self.top = top;
    }

    /// The place of the bound of searches for `count` pages, at least two.
    #[inline]
    const fn bound_of(count: usize) -> usize {
        let count = if count < LONGEST_BOUND {
            count
        } else {
            LONGEST_BOUND
        };
        count - 2
    }

    /// Where a search for a run of `count` pages begins, no run of which starts below; `None` if
    /// there is none.
    #[inline]
    pub(super) fn search_for(&self, count: usize) -> Option<PageIdx> {
        let search = self.search?;
        if count < 2 {
            return (count == 1).then_some(search);
        }
        let bound = self.bounds[Self::bound_of(count)];
        (bound != Self::NOWHERE).then_some(search.max(bound))
    }

    /// Notes that no run of `count` pages starts below `bound`.
    #[inline]
    pub(super) fn no_run_below(&mut self, count: usize, bound: PageIdx) {
        if !(2..=LONGEST_BOUND).contains(&count) {
            return;
        }
        for longer in &mut self.bounds[count - 2..] {
            if *longer >= bound {
                break;
            }
            *longer = bound;
        }
    }

    /// Notes that there is no run of `count` pages.
    pub(super) fn no_run(&mut self, count: usize) {
        if count == 1 {
            self.search = None;
        }
        self.no_run_below(count, Self::NOWHERE);
    }

    /// Above every page.
    const NOWHERE: PageIdx = PageIdx(usize::MAX);

    /// Moves the bounds of all searches but the first to `bound`, and that one above if it is the
    /// lowest page.
    #[cfg(test)]
    pub(super) fn plant_bounds(&mut self, bound: PageIdx) {
        self.bounds = [bound; LONGEST_BOUND - 1];
        if bound == PageIdx(0) {
            self.bounds[0] = PageIdx(1);
        }
    }

    /// Whether the searches that would find `run` begin no higher.
    pub(super) fn searches_meet(&self, run: PageRun) -> bool {
        run.count < 2 || self.bounds[Self::bound_of(run.count)] <= run.first
    }

    /// The bounds of searches, from runs of two pages up.
    pub(super) const fn bounds(&self) -> &[PageIdx; LONGEST_BOUND - 1] {
        &self.bounds
    }

    /// Notes that the owned page `page` became free, and may be the lowest.
    #[inline]
    pub(super) fn became_free(&mut self, page: PageIdx) {
        debug_assert!(self.owned.contains(page), "only owned pages become free");
        if self.search.is_none_or(|search| page < search) {
            self.search = Some(page);
        }
    }

    /// Notes that a run of `count` free pages now starts at `start`.
    #[inline]
    pub(super) fn run_became_free(&mut self, start: PageIdx, count: usize) {
        let shorter = count.clamp(1, LONGEST_BOUND) - 1;
        for bound in self.bounds[..shorter].iter_mut().rev() {
            if *bound <= start {
                break;
            }
            *bound = start;
        }
    }

    /// Notes that no page below `bound` is free. The bound may lie in a hole; the search address
    /// never does.
    #[inline]
    pub(super) fn none_free_below(&mut self, bound: PageIdx) {
        if self.search.is_some_and(|search| search < bound) {
            self.search = self.owned.find_at_or_above(bound);
        }
    }

    /// Notes that no page below the owned page `page` is free.
    #[inline]
    pub(super) fn none_free_below_owned(&mut self, page: PageIdx) {
        debug_assert!(self.owned.contains(page), "the search address is owned");
        debug_assert!(self.search.is_some(), "a page was free just now");
        self.search = self.search.max(Some(page));
    }

    /// Notes that no page is free.
    #[inline]
    pub(super) fn none_free(&mut self) {
        self.search = None;
    }
}
