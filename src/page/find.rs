//! The search for the lowest run that fits.

use crate::base::{PageIdx, Shape};

use super::free_pages::FreePages;
use super::state::State;
use super::summary;
use super::tree::{FAN_OUT, Top, Tree, TreeNode};

/// A run that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// The first page of the run.
    pub(super) first: PageIdx,
    /// No page below this one is free. It may be a page that nobody owns.
    pub(super) lowest: PageIdx,
}

/// Where a search stands, in page numbers.
struct Search {
    count: usize,
    /// Free pages directly below.
    run: usize,
    /// Where the lowest part of the space begins that is known to hold a free page.
    lowest: Option<usize>,
}

/// The next step of a search, as the children of a node offer it.
enum Step {
    /// A run that begins at this page.
    Run(usize),
    /// A run inside the child in this column.
    Child(usize),
}

impl<S: Shape> Tree<S> {
    /// The lowest run of `count` free pages (at least one) in the tree up to `top`. No page below
    /// `from` is free.
    ///
    /// At most 8 summaries are read for each height from the top down, and one bitmap.
    pub(super) fn find(&self, top: Top, count: usize, from: PageIdx) -> Option<Hit> {
        let mut search = Search {
            count,
            run: 0,
            lowest: None,
        };
        let chunk = from.0 >> Self::CHUNK_SHIFT;
        let mut height = top.height;
        let mut node = self.node_from(top, chunk, height)?;
        let mut base = Self::node_base(chunk, height);
        loop {
            let shift = Self::child_shift(height);
            // The search address is in this node or below it.
            let skipped = from.0.saturating_sub(base) >> shift;
            let column = match search.scan(node, base, shift, skipped)? {
                Step::Run(page) => {
                    let lowest = search.lowest.unwrap_or(page);
                    return Some(Hit {
                        first: PageIdx(page),
                        lowest: PageIdx(lowest.max(from.0)),
                    });
                }
                Step::Child(column) => column,
            };
            base += column << shift;
            if search.lowest == Some(base) {
                // The part that is descended into will say it better.
                search.lowest = None;
            }
            if height == 0 {
                return Self::find_in_chunk(node, column, base, &search);
            }
            node = node.links[column].node()?;
            height -= 1;
        }
    }

    /// The end of the search, in the chunk in `column`, whose first page is `base`.
    fn find_in_chunk(node: &TreeNode, column: usize, base: usize, search: &Search) -> Option<Hit> {
        let found = Self::chunk_in(node, column)?.free.find(search.count, 0)?;
        let lowest = search.lowest.unwrap_or(base + found.lowest);
        Some(Hit {
            first: PageIdx(base + found.first),
            lowest: PageIdx(lowest),
        })
    }
}

impl<S: Shape> FreePages<S> {
    /// The first page of the lowest run of `count` pages.
    pub(super) fn lowest(&self, state: &State, count: usize) -> Option<PageIdx> {
        if Tree::<S>::SHORT_CHUNKS {
            return self.lowest_aligned(state, count, 1);
        }
        if count == 0 {
            return None;
        }
        let from = state.search_for(count)?;
        let number = from.0 >> Tree::<S>::CHUNK_SHIFT;
        let near = self.tree.chunk_from(state.top(), number);
        if let Some(chunk) = near.filter(|chunk| summary::longest(chunk.value) >= count) {
            if let Some(first) = Self::first_near(chunk, from.0 % Tree::<S>::CHUNK_PAGES, count) {
                return Some(PageIdx((number << Tree::<S>::CHUNK_SHIFT) + first));
            }
        }
        let hit = self.tree.find(state.top(), count, from)?;
        Some(hit.first)
    }
}

impl Search {
    /// Looks at the children of a node, each of 2^`shift` pages, from column `skipped` on. A run
    /// that begins in an earlier child and ends in a later one is lower than any inside the later
    /// one.
    #[inline]
    fn scan(&mut self, node: &TreeNode, base: usize, shift: usize, skipped: usize) -> Option<Step> {
        let pages = 1 << shift;
        for column in skipped..FAN_OUT {
            let child = summary::load(&node.values[column]);
            if child.max == 0 {
                self.run = 0;
                continue;
            }
            let start = base + (column << shift);
            if self.lowest.is_none() {
                self.lowest = Some(start);
            }
            if self.run + child.start >= self.count {
                return Some(Step::Run(start - self.run));
            }
            if child.max >= self.count {
                return Some(Step::Child(column));
            }
            self.run = if child.start == pages {
                self.run + pages
            } else {
                child.end
            };
        }
        None
    }
}
