//! Damage that tests do to the page layer, one kind for every rule that [`FreePages::verify`]
//! checks.

use crate::base::{PageIdx, PageRun, Shape};
use crate::page::free_pages::FreePages;
use crate::page::state::State;
use crate::page::summary::{self, Summary};
use crate::page::tree::Tree;
use crate::region::ranges::damage::RangesCorruption;

/// A rule to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Corruption {
    /// A rule of the owned ranges.
    Ranges(RangesCorruption),
    /// A range that is owned ends above the space.
    RangeOutside,
    /// A chunk is owned that has no bitmaps.
    NoBitmaps,
    /// A page is free and not owned.
    StrayFree,
    /// A page is scavenged and not owned.
    StrayScavenged,
    /// A chunk's summary.
    Summary,
    /// A summary at the root.
    RootSummary,
    /// The hint of a chunk.
    Hint,
    /// A hint at the root.
    RootHint,
    /// The top of the tree.
    Top,
    /// The total of free pages.
    FreeTotal,
    /// The total of scavenged pages.
    ScavengedTotal,
    /// The search address is above a free page.
    SearchAbove,
    /// The search address is not owned.
    SearchOutside,
    /// There is no search address.
    SearchLost,
    /// The search for two pages begins above a run of them.
    RunAbove,
    /// The search for two pages begins above the one for three.
    Unordered,
}

impl Corruption {
    /// Every corruption, and the error that `verify` returns for it.
    pub(crate) const ALL: [(Self, &'static str); 21] = [
        (Self::Ranges(RangesCorruption::Empty), "a range is empty"),
        (
            Self::Ranges(RangesCorruption::OutOfOrder),
            "ranges overlap or are out of order",
        ),
        (
            Self::Ranges(RangesCorruption::NotJoined),
            "neighbouring ranges are not joined",
        ),
        (
            Self::Ranges(RangesCorruption::Total),
            "page total of the ranges differs from their sum",
        ),
        (
            Self::Ranges(RangesCorruption::Overfull),
            "more ranges than slots",
        ),
        (
            Self::RangeOutside,
            "an owned range leaves the address space",
        ),
        (Self::NoBitmaps, "an owned chunk has no bitmaps"),
        (Self::StrayFree, "a free page is not owned"),
        (Self::StrayScavenged, "a scavenged page is not owned"),
        (Self::Summary, "a summary differs from its bitmap"),
        (Self::RootSummary, "a summary differs from its children"),
        (Self::Hint, "a hint hides free pages that are Ready"),
        (Self::RootHint, "a hint hides that of a child"),
        (
            Self::Top,
            "the top of the tree is not that of the owned ranges",
        ),
        (Self::FreeTotal, "the total of free pages is wrong"),
        (
            Self::ScavengedTotal,
            "the total of scavenged pages is wrong",
        ),
        (Self::SearchAbove, "search address above a free page"),
        (
            Self::SearchOutside,
            "search address outside the owned ranges",
        ),
        (
            Self::SearchLost,
            "no search address although pages are free",
        ),
        (
            Self::RunAbove,
            "a search begins above a run that it would find",
        ),
        (
            Self::Unordered,
            "a search for longer runs begins below one for shorter runs",
        ),
    ];
}

impl<S: Shape> FreePages<S> {
    /// Breaks one rule of a sound heap. It has free pages that are Ready in a chunk of which it
    /// owns the last page; that page is free as well; and the array of ranges has a free slot.
    ///
    /// Returns false if the heap is not such a one.
    pub(crate) fn corrupt(&self, state: &mut State, corruption: Corruption) -> bool {
        let space = 1 << S::GEOMETRY.page_number_bits();
        let ready = self.highest_ready(state, PageIdx(space), 1);
        let (Some(ready), Some(last)) = (ready, state.owned.last()) else {
            return false;
        };
        let last = PageRun::new(PageIdx(last.end().0 - 1), 1);
        let number = ready.first.0 / Tree::<S>::CHUNK_PAGES;
        let Some(chunk) = self.tree.chunk(number) else {
            return false;
        };
        let root = &self.tree.root().values;
        match corruption {
            Corruption::Ranges(corruption) => state.owned.corrupt(corruption),
            Corruption::RangeOutside => {
                return state.owned.add(PageRun::new(PageIdx(space), 1)).is_ok();
            }
            Corruption::NoBitmaps => return self.own_a_bare_chunk(state),
            Corruption::StrayFree => return state.owned.remove(last).is_ok(),
            Corruption::StrayScavenged => {
                let taken = self.take(state, last).is_some();
                let marked = self.set_scavenged(state, last).is_ok();
                return taken && marked && state.owned.remove(last).is_ok();
            }
            Corruption::Summary => {
                let mut wrong = summary::load(chunk.value);
                wrong.max -= 1;
                summary::store(chunk.value, wrong);
            }
            Corruption::RootSummary => {
                let absent = root
                    .iter()
                    .filter(|value| summary::load(value) == Summary::NONE);
                absent.for_each(|value| {
                    summary::store(
                        value,
                        Summary {
                            start: 0,
                            max: 1,
                            end: 0,
                        },
                    );
                });
            }
            Corruption::Hint => summary::hint_ready(chunk.value, false),
            Corruption::RootHint => root
                .iter()
                .for_each(|value| summary::hint_ready(value, false)),
            Corruption::Top => {
                let top = state.top();
                state.set_top(self.tree.top_at(number, top.height + 1));
            }
            Corruption::FreeTotal => state.free += 1,
            Corruption::ScavengedTotal => state.scavenged += 1,
            Corruption::SearchAbove => state.search = Some(last.first),
            Corruption::SearchOutside => {
                let below = state.owned.iter().next().map(|run| run.first.0);
                let hole = below.and_then(|first| first.checked_sub(1));
                state.search = hole.map(PageIdx);
                return hole.is_some();
            }
            Corruption::SearchLost => state.search = None,
            Corruption::RunAbove | Corruption::Unordered => {
                // Short chunks are searched from the first.
                if Tree::<S>::SHORT_CHUNKS {
                    return false;
                }
                let bound = if corruption == Corruption::RunAbove {
                    last.first
                } else {
                    PageIdx(0)
                };
                state.plant_bounds(bound);
            }
        }
        true
    }

    /// Adds the first page of some chunk that has no bitmaps to the owned ranges.
    fn own_a_bare_chunk(&self, state: &mut State) -> bool {
        let chunks = 0..1 << S::GEOMETRY.chunk_number_bits();
        let mut bare = chunks.filter(|chunk| self.tree.chunk(*chunk).is_none());
        let Some(chunk) = bare.next() else {
            return false;
        };
        let page = PageIdx(chunk * Tree::<S>::CHUNK_PAGES);
        state.owned.add(PageRun::new(page, 1)).is_ok()
    }
}
