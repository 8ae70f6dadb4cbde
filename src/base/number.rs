//! Page numbers: positions on the line of the address space, counted in pages.
//!
//! The last page of a 32-bit space has number 2^20 − 1, so the number one past it is a number like
//! any other: code above this file needs no special case for the top of the address space.

use core::fmt;

use archipelago_api::{Geometry, Machine, Offset, VirtAddr, VirtRange};

/// A geometry as a type. Every machine has one; tests of single layers bring their own.
pub(crate) trait Shape: 'static {
    /// The geometry.
    const GEOMETRY: Geometry;
    /// Whether there are free pages without memory.
    const SCAVENGES: bool;
}

impl<M: Machine> Shape for M {
    const GEOMETRY: Geometry = M::GEOMETRY;
    const SCAVENGES: bool = M::DECOMMITS;
}

/// The number of a page on the line of the address space, or the number one past the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub(crate) struct PageIdx(pub(crate) usize);

impl PageIdx {
    /// The page that holds `addr`, or `None` if `addr` is outside the space.
    #[inline]
    pub(crate) fn of<S: Shape>(addr: VirtAddr) -> Option<Self> {
        let offset = S::GEOMETRY.offset(addr)?;
        Some(Self(offset.value() >> S::GEOMETRY.page_shift))
    }

    /// The page at `offset`.
    pub(crate) const fn at<S: Shape>(offset: Offset) -> Self {
        Self(offset.value() >> S::GEOMETRY.page_shift)
    }

    /// The first address of the page, which is not the one past the last.
    #[inline]
    pub(crate) fn address<S: Shape>(self) -> VirtAddr {
        S::GEOMETRY.address(Offset::new(self.0 << S::GEOMETRY.page_shift))
    }

    /// The page `count` above. Page numbers are far from the limits of a `usize`.
    #[inline]
    pub(crate) const fn plus(self, count: usize) -> Self {
        Self(self.0 + count)
    }
}

impl fmt::Debug for PageIdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page#{:#x}", self.0)
    }
}

/// Pages that lie side by side.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PageRun {
    /// The first page.
    pub(crate) first: PageIdx,
    /// How many pages there are.
    pub(crate) count: usize,
}

impl PageRun {
    /// The `count` pages from `first`.
    pub(crate) const fn new(first: PageIdx, count: usize) -> Self {
        Self { first, count }
    }

    /// The pages from `first` up to and without `end`; empty if `end` is not above `first`.
    pub(crate) const fn between(first: PageIdx, end: PageIdx) -> Self {
        Self {
            first,
            count: end.0.saturating_sub(first.0),
        }
    }

    /// The number one past the last page.
    pub(crate) const fn end(self) -> PageIdx {
        self.first.plus(self.count)
    }

    /// Whether there are no pages.
    pub(crate) const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Whether `page` is one of them.
    pub(crate) const fn contains(self, page: PageIdx) -> bool {
        page.0 >= self.first.0 && page.0 < self.first.0 + self.count
    }

    /// Whether the two runs share a page.
    pub(crate) const fn overlaps(self, other: Self) -> bool {
        self.first.0 < other.end().0 && other.first.0 < self.end().0
    }

    /// Bytes of all the pages.
    pub(crate) const fn bytes<S: Shape>(self) -> usize {
        self.count << S::GEOMETRY.page_shift
    }

    /// The addresses of the pages, or `None` for a run that no window can hold, because it wraps.
    pub(crate) fn range<S: Shape>(self) -> Option<VirtRange> {
        VirtRange::new(self.first.address::<S>(), self.bytes::<S>())
    }

    /// The whole pages inside `range`, which lies in the space.
    pub(crate) fn inside<S: Shape>(range: VirtRange) -> Option<Self> {
        let page_bytes = S::GEOMETRY.page_bytes();
        let first = S::GEOMETRY.offset(range.base())?.value();
        let last = S::GEOMETRY.offset(range.last()?)?.value();
        let first_page = first / page_bytes + usize::from(first % page_bytes != 0);
        // `last` is inclusive, so that a range which ends at the top of the space does not wrap.
        let whole = last % page_bytes == page_bytes - 1;
        let end_page = last / page_bytes + usize::from(whole);
        Some(Self::between(PageIdx(first_page), PageIdx(end_page)))
    }
}

impl fmt::Debug for PageRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}+{}", self.first, self.count)
    }
}
