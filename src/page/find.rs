//! The search for the lowest run that fits.

use crate::base::{PageIdx, Shape};

use super::summary;
use super::tree::{FAN_OUT, Tree, TreeNode};

/// A run that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// The first page of the run.
    pub(super) first: PageIdx,
    /// No page from where the search began up to this one is free.
    pub(super) lowest: PageIdx,
}

/// A search on its way through the tree, in page numbers.
struct Search {
    count: usize,
    from: usize,
    /// Free pages directly below where the search stands, none of them below `from`.
    run: usize,
    /// The smallest stretch, start and end, known to hold the lowest free page.
    window: Option<(usize, usize)>,
}

impl Search {
    /// Notes that some page from `start` up to `end` is free.
    ///
    /// Stretches come in the order of the walk: what lies in the window was descended into from its lowest
    /// part, and what lies outside is above it.
    #[inline]
    fn saw_free(&mut self, start: usize, end: usize) {
        match self.window {
            None => self.window = Some((start, end)),
            Some((low, high)) if low <= start && end <= high => self.window = Some((start, end)),
            Some(_) => {}
        }
    }
}

impl<S: Shape> Tree<S> {
    /// The lowest run of `count` pages (at least one) among the free pages from `from` up.
    ///
    /// At most 8 summaries are read for each level of the tree, and as many again on the way to `from`.
    pub(super) fn find(&self, count: usize, from: PageIdx) -> Option<Hit> {
        let mut search = Search {
            count,
            from: from.0,
            run: 0,
            window: None,
        };
        let first = Self::find_in(self.root(), Self::LEVELS - 1, 0, &mut search)?;
        let lowest = search.window.map_or(first, |(low, _)| low);
        Some(Hit {
            first: PageIdx(first),
            lowest: PageIdx(lowest.max(from.0)),
        })
    }

    /// The search in one node of `height`, whose first page is `base`. Without a hit, the search stands at the
    /// node's end.
    fn find_in(node: &TreeNode, height: usize, base: usize, search: &mut Search) -> Option<usize> {
        let pages = Self::child_pages(height);
        let skipped = search.from.saturating_sub(base) / pages;
        for column in skipped..FAN_OUT {
            let summary = summary::load(&node.values[column]);
            if summary.max == 0 {
                search.run = 0;
                continue;
            }
            let start = base + column * pages;
            search.saw_free(start, start + pages);
            // Only the first column can begin below where the search does; nothing runs into that one.
            let whole = start >= search.from;
            if whole && search.run + summary.start >= search.count {
                return Some(start - search.run);
            }
            if summary.max >= search.count {
                let hit = Self::find_below(node, height, column, start, search);
                if hit.is_some() {
                    return hit;
                }
                debug_assert!(!whole, "a summary promises a run that is not there");
            } else if whole && summary.start == pages {
                search.run += pages;
            } else {
                search.run = summary.end.min(start + pages - search.from.max(start));
            }
        }
        None
    }

    /// The search in the child in `column`, whose first page is `start`.
    fn find_below(
        node: &TreeNode,
        height: usize,
        column: usize,
        start: usize,
        search: &mut Search,
    ) -> Option<usize> {
        if height > 0 {
            let child = node.children[column].get()?;
            return Self::find_in(child, height - 1, start, search);
        }
        let chunk = Self::chunk_in(node, column)?;
        let from = search.from.saturating_sub(start);
        if let Some(found) = chunk.free.find(search.count, from) {
            search.saw_free(start + found.lowest, start + found.lowest + 1);
            return Some(start + found.first);
        }
        let end = chunk.free.run_below(Self::CHUNK_PAGES);
        search.run = end.min(Self::CHUNK_PAGES - from);
        None
    }
}
