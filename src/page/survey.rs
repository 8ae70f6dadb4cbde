//! Counts by chunk for tools, and the highest free pages: of all, and of those that are Ready.

use crate::base::{PageIdx, PageRun, Shape};

use super::free_pages::FreePages;
use super::state::State;
use super::summary;
use super::tree::{FAN_OUT, Tree, TreeNode};

/// The uses of the owned pages of a chunk, or of the part of a chunk that a range owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkCount {
    /// The owned pages, side by side.
    pub(crate) run: PageRun,
    /// Pages that are taken.
    pub(crate) taken: usize,
    /// Free pages that have memory.
    pub(crate) ready: usize,
    /// Free pages that have none.
    pub(crate) scavenged: usize,
}

impl<S: Shape> FreePages<S> {
    /// Counts for every chunk that the heap owns pages of, lowest first; a chunk in which several
    /// ranges lie comes once for each.
    pub(crate) fn chunks<'a>(&'a self, state: &'a State) -> impl Iterator<Item = ChunkCount> + 'a {
        let pieces = state.owned.iter().flat_map(Tree::<S>::pieces);
        pieces.filter_map(|piece| {
            let chunk = self.tree.chunk(piece.chunk)?;
            let free = chunk.free.count(piece.first, piece.count);
            let scavenged = chunk
                .free
                .count_both(chunk.scavenged, piece.first, piece.count);
            let first = PageIdx(piece.chunk * Tree::<S>::CHUNK_PAGES + piece.first);
            Some(ChunkCount {
                run: PageRun::new(first, piece.count),
                taken: piece.count - free,
                ready: free - scavenged,
                scavenged,
            })
        })
    }

    /// The highest run of free pages below `below` that have memory; its top `max` pages (at least
    /// one) if it is longer. A run ends at the bounds of its chunk.
    ///
    /// Subtrees without such pages are skipped, and those in which it looked in vain are skipped
    /// the next time.
    pub(crate) fn highest_ready(
        &self,
        _: &mut State,
        below: PageIdx,
        max: usize,
    ) -> Option<PageRun> {
        let run = Self::ready_in(self.tree.root(), Tree::<S>::LEVELS - 1, 0, below.0)?;
        let count = run.count.min(max);
        Some(PageRun::new(PageIdx(run.end().0 - count), count))
    }

    /// The highest free page.
    ///
    /// Reads at most 8 summaries for each level of the tree that has owned pages, and one bitmap.
    pub(crate) fn highest_free(&self, state: &State) -> Option<PageIdx> {
        let first = state.search()?.0 >> Tree::<S>::CHUNK_SHIFT;
        let mut height = state.top().height;
        let mut base = Tree::<S>::node_base(first, height);
        let mut node = self.tree.node(first, height)?;
        loop {
            let has_free = |column: &usize| summary::load(&node.values[*column]).max > 0;
            let column = (0..FAN_OUT).rev().find(has_free)?;
            base += column << Tree::<S>::child_shift(height);
            if height == 0 {
                let free = Tree::<S>::chunk_in(node, column)?.free;
                return Some(PageIdx(base + free.last_set()?));
            }
            node = node.links[column].node()?;
            height -= 1;
        }
    }

    fn ready_in(node: &TreeNode, height: usize, base: usize, below: usize) -> Option<PageRun> {
        let shift = Tree::<S>::child_shift(height);
        for column in (0..FAN_OUT).rev() {
            let start = base + (column << shift);
            let value = &node.values[column];
            if start >= below || !summary::may_be_ready(value) {
                continue;
            }
            let run = if height > 0 {
                let child = node.links[column].node();
                child.and_then(|child| Self::ready_in(child, height - 1, start, below))
            } else {
                Self::ready_in_chunk(node, column, start, below)
            };
            if run.is_some() {
                return run;
            }
            if start + (1 << shift) <= below {
                summary::hint_ready(value, false);
            }
        }
        None
    }

    fn ready_in_chunk(
        node: &TreeNode,
        column: usize,
        start: usize,
        below: usize,
    ) -> Option<PageRun> {
        let chunk = Tree::<S>::chunk_in(node, column)?;
        let below = Tree::<S>::CHUNK_PAGES.min(below - start);
        let (first, count) = chunk.free.highest_without(chunk.scavenged, below)?;
        Some(PageRun::new(PageIdx(start + first), count))
    }
}
