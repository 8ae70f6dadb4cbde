//! What the page lock guards: what is owned, how much of it is free, and where to begin a search.

use core::fmt;

use crate::base::PageIdx;
use crate::region::ranges::{Ranges, RangesError};

/// Why the page layer left everything as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PagesError {
    /// The run has no pages, or pages that are none of the address space.
    OutsideSpace,
    /// The run's nodes and bitmaps were not ensured.
    NotEnsured,
    /// The ranges that the heap owns cannot take the run.
    Ranges(RangesError),
    /// FreePages of the run are not taken: they are free, or not the heap's.
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
    /// The height of the top of the tree: the lowest node above every owned page.
    top: usize,
}

impl State {
    /// Nothing is owned.
    pub(crate) const fn new() -> Self {
        Self {
            owned: Ranges::new(),
            free: 0,
            scavenged: 0,
            search: None,
            top: 0,
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

    /// The height of the top of the tree.
    #[inline]
    pub(super) const fn top(&self) -> usize {
        self.top
    }

    /// Sets the height of the top of the tree.
    pub(super) const fn set_top(&mut self, height: usize) {
        self.top = height;
    }

    /// Notes that the owned page `page` became free, and may be the lowest.
    #[inline]
    pub(super) fn became_free(&mut self, page: PageIdx) {
        debug_assert!(self.owned.contains(page), "only owned pages become free");
        if self.search.is_none_or(|search| page < search) {
            self.search = Some(page);
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
