//! Runs that start at a multiple of more than a page.

use crate::base::{PageIdx, PageRun, Shape};

use super::pages::{Pages, Taken};
use super::state::State;
use super::tree::Tree;

impl<S: Shape> Pages<S> {
    /// Takes the lowest free run of `count` pages whose address is a multiple of `align` pages (a power of two);
    /// `None` if there is none, or `count` is zero.
    ///
    /// Exactly the run is taken, so nothing has to be trimmed and no scavenged bit of a neighbour is touched. A run
    /// is found if one exists. The cost is a search for each free run of `count` pages that does not fit as it is
    /// aligned.
    pub(crate) fn alloc_aligned(
        &self,
        state: &mut State,
        count: usize,
        align: usize,
    ) -> Option<Taken> {
        debug_assert!(align.is_power_of_two(), "alignments are powers of two");
        if align <= 1 {
            return self.alloc(state, count);
        }
        if count == 0 {
            return None;
        }
        let mut from = state.search()?;
        loop {
            let hit = self.tree.find(count, from)?;
            let first = align_up::<S>(hit.first, align)?;
            let run = PageRun::new(first, count);
            let free = self.run_above(first, count, |chunk| chunk.free);
            if free == count {
                return Some(self.mark_taken(state, run));
            }
            // Nothing that is aligned begins below `first`, and what begins at it ends too soon.
            from = first.plus(free);
        }
    }
}

/// The first page not below `page` whose address is a multiple of `align` pages, if a space could have one.
///
/// Alignment is that of addresses: the space itself begins at a multiple of an arena, not of everything.
fn align_up<S: Shape>(page: PageIdx, align: usize) -> Option<PageIdx> {
    let base = (S::GEOMETRY.base >> S::GEOMETRY.page_shift) & (align - 1);
    let aligned = (page.0 + base).checked_add(align - 1)? & !(align - 1);
    let first = PageIdx(aligned - base);
    Tree::<S>::in_space(PageRun::new(first, 1)).then_some(first)
}
