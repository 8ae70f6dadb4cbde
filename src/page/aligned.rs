//! Runs that start at a multiple of more than a page.

use crate::base::{PageIdx, PageRun, Shape};

use super::bits::Bits;
use super::free_pages::{FreePages, Taken};
use super::state::State;
use super::summary;
use super::tree::{FAN_OUT, Tree, TreeNode};

/// A walk over the free runs that are long enough, lowest first.
struct Walk {
    count: usize,
    align: usize,
    /// Free pages directly below where the walk stands.
    run: usize,
}

impl<S: Shape> FreePages<S> {
    /// [`alloc_aligned`](Self::alloc_aligned) for any alignment. Where chunks are short, this is
    /// how runs without alignment are found too: one way to search is enough.
    // One for both.
    #[inline(never)]
    pub(super) fn alloc_walking(
        &self,
        state: &mut State,
        count: usize,
        align: usize,
    ) -> Option<Taken> {
        let Some(first) = self.lowest_aligned(state, count, align) else {
            if count == 1 && align == 1 {
                state.none_free();
            }
            return None;
        };
        let run = PageRun::new(first, count);
        let taken = self.mark_taken(state, run);
        if state.search() == Some(first) {
            state.none_free_below(run.end());
        }
        Some(taken)
    }

    pub(super) fn lowest_aligned(
        &self,
        state: &State,
        count: usize,
        align: usize,
    ) -> Option<PageIdx> {
        if count == 0 {
            return None;
        }
        let chunk = state.search()?.0 >> Tree::<S>::CHUNK_SHIFT;
        let top = state.top().height;
        let node = self.tree.node(chunk, top)?;
        let base = Tree::<S>::node_base(chunk, top);
        let mut walk = Walk {
            count,
            align,
            run: 0,
        };
        let end = base + (FAN_OUT << Tree::<S>::child_shift(top));
        walk.node::<S>(node, top, base)
            .or_else(|| walk.end_run::<S>(end))
    }
}

impl Walk {
    /// Visits the runs in a node of `height` whose first page is `base`; the one at its end stays
    /// open.
    fn node<S: Shape>(&mut self, node: &TreeNode, height: usize, base: usize) -> Option<PageIdx> {
        let shift = Tree::<S>::child_shift(height);
        for column in 0..FAN_OUT {
            let child = summary::load(&node.values[column]);
            let start = base + (column << shift);
            if child.start == 1 << shift {
                self.run += child.start;
                continue;
            }
            let hit = if child.max < self.count {
                // Only the run that reaches in from below can be long enough.
                self.run += child.start;
                let hit = self.end_run::<S>(start + child.start);
                self.run = child.end;
                hit
            } else if height > 0 {
                self.node::<S>(node.links[column].node()?, height - 1, start)
            } else {
                self.chunk::<S>(Tree::<S>::chunk_in(node, column)?.free, start)
            };
            if hit.is_some() {
                return hit;
            }
        }
        None
    }

    /// Visits the runs in a chunk whose first page is `base`; the one at its end stays open.
    fn chunk<S: Shape>(&mut self, free: Bits<'_>, base: usize) -> Option<PageIdx> {
        let mut at = 0;
        loop {
            let count = free.run_above(at);
            self.run += count;
            at += count;
            if at == Tree::<S>::CHUNK_PAGES {
                return None;
            }
            let hit = self.end_run::<S>(base + at);
            if hit.is_some() {
                return hit;
            }
            at = free.next_set(at).unwrap_or(Tree::<S>::CHUNK_PAGES);
        }
    }

    /// The open run ends below `end`: the first page in it that would do, if there is one. No run
    /// is open then.
    fn end_run<S: Shape>(&mut self, end: usize) -> Option<PageIdx> {
        let run = core::mem::take(&mut self.run);
        if run < self.count {
            return None;
        }
        let first = align_up::<S>(end - run, self.align)?;
        (first.checked_add(self.count)? <= end).then_some(PageIdx(first))
    }
}

/// The first page not below `page` whose address is a multiple of `align` pages, if numbers go that
/// far.
///
/// Alignment is that of addresses: the space itself begins at a multiple of an arena, not of
/// everything.
fn align_up<S: Shape>(page: usize, align: usize) -> Option<usize> {
    let base = (S::GEOMETRY.base >> S::GEOMETRY.page_shift) & (align - 1);
    let aligned = (page + base).checked_add(align - 1)? & !(align - 1);
    Some(aligned - base)
}
