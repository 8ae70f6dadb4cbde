//! Verification: counts and summaries, recomputed from the bitmaps and compared.

use crate::base::{PageIdx, PageRun, Shape};

use super::bits::Bits;
use super::free_pages::FreePages;
use super::state::State;
use super::summary::{self, Summary};
use super::tree::{Chunk, FAN_OUT, Tree, TreeNode};

/// The sums of the bitmaps.
struct Audit<'a> {
    state: &'a State,
    free: usize,
    scavenged: usize,
    lowest: Option<PageIdx>,
    /// The run of free pages that was met last.
    last: PageRun,
}

impl<S: Shape> FreePages<S> {
    /// Recomputes ranges, summaries, hints, totals and the search address, and names the first that
    /// is wrong.
    ///
    /// Cost: every bitmap and every node that is there.
    ///
    /// # Errors
    /// With the name of the broken rule.
    pub(crate) fn verify(&self, state: &State) -> Result<(), &'static str> {
        state.owned.verify()?;
        for range in state.owned.iter() {
            if !Tree::<S>::in_space(range) {
                return Err("an owned range leaves the address space");
            }
            if !self.is_ensured(range) {
                return Err("an owned chunk has no bitmaps");
            }
        }
        if !self.top_of(state).is(state.top()) {
            return Err("the top of the tree is not that of the owned ranges");
        }
        let mut audit = Audit {
            state,
            free: 0,
            scavenged: 0,
            lowest: None,
            last: PageRun::new(PageIdx(0), 0),
        };
        audit.node::<S>(self.tree.root(), Tree::<S>::LEVELS - 1, 0)?;
        audit.conclude()
    }
}

impl Audit<'_> {
    /// Checks what a node says of its children.
    fn node<S: Shape>(
        &mut self,
        node: &TreeNode,
        height: usize,
        base: usize,
    ) -> Result<(), &'static str> {
        for column in 0..FAN_OUT {
            let start = base + (column << Tree::<S>::child_shift(height));
            let value = &node.values[column];
            let (children, hint) = if height > 0 {
                self.child::<S>(node, height, column, start)?
            } else {
                self.chunk::<S>(Tree::<S>::chunk_in(node, column), start)?
            };
            if summary::load(value) != children {
                return Err(if height > 0 {
                    "a summary differs from its children"
                } else {
                    "a summary differs from its bitmap"
                });
            }
            if S::SCAVENGES && hint && !summary::may_be_ready(value) {
                return Err(if height > 0 {
                    "a hint hides that of a child"
                } else {
                    "a hint hides free pages that are Ready"
                });
            }
        }
        Ok(())
    }

    /// Checks the child in `column`, and says what its parent has to say of it.
    fn child<S: Shape>(
        &mut self,
        node: &TreeNode,
        height: usize,
        column: usize,
        start: usize,
    ) -> Result<(Summary, bool), &'static str> {
        let Some(child) = node.links[column].node() else {
            return Ok((Summary::NONE, false));
        };
        self.node::<S>(child, height - 1, start)?;
        let hint = child.values.iter().any(summary::may_be_ready);
        if height > self.state.top().height {
            return Ok((Summary::NONE, hint));
        }
        let shift = Tree::<S>::child_shift(height - 1);
        Ok((summary::merge(&child.values, shift), hint))
    }

    /// Counts a chunk, and says what its node has to say of it.
    fn chunk<S: Shape>(
        &mut self,
        chunk: Option<Chunk<'_>>,
        start: usize,
    ) -> Result<(Summary, bool), &'static str> {
        let Some(chunk) = chunk else {
            return Ok((Summary::NONE, false));
        };
        self.owned(chunk.free, start)
            .ok_or("a free page is not owned")?;
        self.owned(chunk.scavenged, start)
            .ok_or("a scavenged page is not owned")?;
        if !Tree::<S>::SHORT_CHUNKS {
            self.searches(chunk.free, start)
                .ok_or("a search begins above a run that it would find")?;
        }
        let pages = Tree::<S>::CHUNK_PAGES;
        let free = chunk.free.count(0, pages);
        let scavenged = chunk.free.count_both(chunk.scavenged, 0, pages);
        self.free += free;
        self.scavenged += scavenged;
        if self.lowest.is_none() {
            self.lowest = chunk.free.next_set(0).map(|page| PageIdx(start + page));
        }
        Ok((chunk.free.summary(), free > scavenged))
    }

    /// `Some` if every bit that is set stands for a page that the heap owns.
    fn owned(&self, bits: Bits<'_>, start: usize) -> Option<()> {
        let mut at = 0;
        while let Some(first) = bits.next_set(at) {
            let count = bits.run_above(first);
            let run = PageRun::new(PageIdx(start + first), count);
            if !self.state.owned.contains_run(run) {
                return None;
            }
            at = first + count;
        }
        bits.unused_are_clear().then_some(())
    }

    /// `Some` if no search begins above a run of free pages that it would find. Runs may go on from
    /// the chunk below.
    fn searches(&mut self, free: Bits<'_>, start: usize) -> Option<()> {
        let mut at = 0;
        while let Some(first) = free.next_set(at) {
            let count = free.run_above(first);
            let page = PageIdx(start + first);
            if self.last.end() == page {
                self.last.count += count;
            } else {
                self.last = PageRun::new(page, count);
            }
            if !self.state.searches_meet(self.last) {
                return None;
            }
            at = first + count;
        }
        Some(())
    }

    /// Compares the totals and the search address.
    fn conclude(&self) -> Result<(), &'static str> {
        if self.free != self.state.free {
            return Err("the total of free pages is wrong");
        }
        if self.scavenged != self.state.scavenged {
            return Err("the total of scavenged pages is wrong");
        }
        if !self.state.bounds().is_sorted() {
            return Err("a search for longer runs begins below one for shorter runs");
        }
        match (self.state.search(), self.lowest) {
            (None, Some(_)) => Err("no search address although pages are free"),
            (Some(search), Some(lowest)) if search > lowest => {
                Err("search address above a free page")
            }
            (Some(search), _) if !self.state.owned.contains(search) => {
                Err("search address outside the owned ranges")
            }
            _ => Ok(()),
        }
    }
}
