//! Taking and freeing runs of pages.

use crate::base::{PageIdx, PageRun, Shape};
use crate::region::Need;
use crate::region::{Cause, Source};

use super::bits::{Bits, ChunkBits};
use super::free_pages::{FreePages, Taken};
use super::state::{PagesError, State};
use super::summary;
use super::tree::{Chunk, Piece, Top, Tree, TreeNode};

impl<S: Shape> FreePages<S> {
    /// Makes all tables that the pages of `run` need, so that [`grow`](Self::grow) cannot fail for
    /// want of them.
    ///
    /// The caller holds the growth gate and not the page lock. Nothing that anybody sees changes;
    /// doing it again is harmless.
    ///
    /// # Errors
    /// Why `source` refused. What was made until then serves the next attempt.
    pub(crate) fn ensure(&self, run: PageRun, source: &mut impl Source) -> Result<(), Cause> {
        self.tree.ensure(run, source)
    }

    /// The pieces of metadata that the first chunk of a heap needs, and how many of each.
    pub(crate) const FIRST_NEEDS: [(Need, usize); 2] = [
        (Need::of::<TreeNode>(), Tree::<S>::LEVELS - 1),
        (Need::of::<ChunkBits>(), 1),
    ];

    /// Publishes `run`, whose tables are ensured, as owned, free and scavenged.
    ///
    /// # Errors
    /// If the run is empty or leaves the space, is owned in part, was not ensured, or finds no room
    /// among the owned ranges. Nothing is changed then.
    pub(crate) fn grow(&self, state: &mut State, run: PageRun) -> Result<(), PagesError> {
        if !Tree::<S>::in_space(run) {
            return Err(PagesError::OutsideSpace);
        }
        if !self.is_ensured(run) {
            return Err(PagesError::NotEnsured);
        }
        let before = state.owned.iter().next();
        state.owned.add(run).map_err(PagesError::Ranges)?;
        self.raise_top(state, before);
        if S::SCAVENGES {
            self.for_each(run, |chunk, piece| {
                chunk.scavenged.set(piece.first, piece.count);
            });
        }
        self.mark_free(state, run);
        Ok(())
    }

    /// Moves the top of the tree up over all owned pages, `before` being some of those that it
    /// stood over until now.
    fn raise_top(&self, state: &mut State, before: Option<PageRun>) {
        let (old, new) = (state.top().height, self.top_of(state));
        if let Some(before) = before {
            let chunk = before.first.0 >> Tree::<S>::CHUNK_SHIFT;
            self.tree.lift(chunk, old, new.height);
        }
        state.set_top(new);
    }

    /// The lowest node above every owned page.
    pub(super) fn top_of(&self, state: &State) -> Top {
        let mut ranges = state.owned.iter();
        let Some(first) = ranges.next() else {
            return Top::ROOT;
        };
        let last = ranges.next_back().unwrap_or(first);
        let chunk = first.first.0 >> Tree::<S>::CHUNK_SHIFT;
        let last = (last.end().0 - 1) >> Tree::<S>::CHUNK_SHIFT;
        self.tree
            .top_at(chunk, Tree::<S>::height_above(chunk, last))
    }

    /// Takes the lowest free run of `count` pages; `None` if there is none, or `count` is zero.
    pub(crate) fn alloc(&self, state: &mut State, count: usize) -> Option<Taken> {
        if Tree::<S>::SHORT_CHUNKS {
            return self.alloc_walking(state, count, 1);
        }
        if let Some(taken) = self.alloc_near(state, count) {
            return Some(taken);
        }
        self.alloc_far(state, count)
    }

    /// [`alloc`](Self::alloc) of a run that is not in the chunk where its search begins.
    #[inline(never)]
    fn alloc_far(&self, state: &mut State, count: usize) -> Option<Taken> {
        let from = state.search_for(count)?;
        let Some(hit) = self.tree.find(state.top(), count, from) else {
            state.no_run(count);
            return None;
        };
        if state.search() == Some(from) {
            // From there up, the search has met all free pages.
            state.none_free_below(hit.lowest);
        }
        state.no_run_below(count, hit.first);
        if let Some(taken) = self.alloc_near(state, count) {
            return Some(taken);
        }
        // It lies in several chunks, or is so long that its search has no bound of its own.
        let taken = self.mark_taken(state, PageRun::new(hit.first, count));
        state.no_run_below(count, taken.run.end());
        Some(taken)
    }

    /// Takes the lowest free run of `count` pages whose address is a multiple of `align` pages (a
    /// power of two); `None` if there is none, or `count` is zero.
    ///
    /// Exactly the run is taken, so nothing has to be trimmed and no neighbour's scavenged bit is
    /// touched. A run is found if one exists. The cost is a visit to each free run of at least
    /// `count` pages up to the one that fits.
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
        self.alloc_walking(state, count, align)
    }

    /// The run that [`alloc`](Self::alloc) would take.
    pub(crate) fn lowest_run(&self, state: &State, count: usize) -> Option<Taken> {
        let run = PageRun::new(self.lowest(state, count)?, count);
        let scavenged = self.count_scavenged(run);
        Some(Taken { run, scavenged })
    }

    /// Takes exactly `run`, or nothing if a page of it is not free.
    pub(crate) fn take(&self, state: &mut State, run: PageRun) -> Option<Taken> {
        if !Tree::<S>::in_space(run) {
            return None;
        }
        self.all_are(run, true).then(|| self.mark_taken(state, run))
    }

    /// Takes the `more` pages above `run`, or nothing if one of them is not free.
    pub(crate) fn extend(&self, state: &mut State, run: PageRun, more: usize) -> Option<Taken> {
        self.take(state, PageRun::new(run.end(), more))
    }

    /// Frees `run`, which may be a part of what was taken at once.
    ///
    /// # Errors
    /// If a page of it is not taken. Nothing is changed then.
    pub(crate) fn free(&self, state: &mut State, run: PageRun) -> Result<(), PagesError> {
        if !Tree::<S>::SHORT_CHUNKS && self.free_near(state, run).is_some() {
            return Ok(());
        }
        if let Some((chunk, piece)) = self.taken_piece(state, run) {
            self.mark_piece_free(state, chunk, piece);
            return Ok(());
        }
        if !self.is_taken(state, run) {
            return Err(PagesError::NotTaken);
        }
        self.mark_free(state, run);
        Ok(())
    }

    /// Notes that all of `run`, which is taken, has memory now.
    ///
    /// # Errors
    /// If a page of it is not taken. Nothing is changed then.
    pub(crate) fn made_ready(&self, state: &mut State, run: PageRun) -> Result<(), PagesError> {
        if !S::SCAVENGES {
            return Ok(());
        }
        if !Tree::<S>::SHORT_CHUNKS && self.made_ready_near(state, run).is_some() {
            return Ok(());
        }
        self.for_taken(state, run, |chunk, piece| {
            chunk.scavenged.clear(piece.first, piece.count);
        })
    }

    /// Notes that all of `run`, which is taken, has no memory any more.
    ///
    /// # Errors
    /// If a page of it is not taken. Nothing is changed then.
    pub(crate) fn set_scavenged(&self, state: &mut State, run: PageRun) -> Result<(), PagesError> {
        self.for_taken(state, run, |chunk, piece| {
            chunk.scavenged.set(piece.first, piece.count);
        })
    }

    /// The maximal runs of scavenged pages inside `run`, lowest first: what has to be committed
    /// before the run is used, or given back if that fails. If `are_all`, all of its pages are
    /// known to be scavenged.
    ///
    /// Whoever holds `run` taken need not hold the page lock: nobody else changes the bits of these
    /// pages.
    #[inline]
    pub(crate) fn scavenged_runs(
        &self,
        run: PageRun,
        are_all: bool,
    ) -> impl Iterator<Item = PageRun> + '_ {
        let mut at = run.first.0;
        core::iter::from_fn(move || {
            let left = PageRun::between(PageIdx(at), run.end());
            if left.is_empty() {
                return None;
            }
            let next = if are_all && S::SCAVENGES {
                left
            } else {
                self.next_scavenged(left)?
            };
            at = next.end().0;
            Some(next)
        })
    }

    /// How many pages of `run` are scavenged.
    pub(crate) fn count_scavenged(&self, run: PageRun) -> usize {
        Tree::<S>::pieces(run)
            .filter_map(|piece| Some((self.tree.chunk(piece.chunk)?, piece)))
            .map(|(chunk, piece)| Self::scavenged_in(chunk, piece))
            .sum()
    }

    /// Whether `page` is free.
    pub(crate) fn is_free(&self, _: &State, page: PageIdx) -> bool {
        let chunk = self.tree.chunk(page.0 / Tree::<S>::CHUNK_PAGES);
        chunk.is_some_and(|chunk| chunk.free.all_are(true, page.0 % Tree::<S>::CHUNK_PAGES, 1))
    }

    /// How many pages directly below `end` are free, counted up to `max`.
    pub(crate) fn free_below(&self, _: &State, end: PageIdx, max: usize) -> usize {
        let mut found = 0;
        while found < max && found < end.0 {
            let page = end.0 - found - 1;
            let Some(chunk) = self.tree.chunk(page / Tree::<S>::CHUNK_PAGES) else {
                break;
            };
            let used = page % Tree::<S>::CHUNK_PAGES + 1;
            let run = chunk.free.run_below(used);
            found += run;
            if run < used {
                break;
            }
        }
        found.min(max)
    }

    /// Pages of the longest free run.
    pub(crate) fn largest_run(&self, state: &State) -> usize {
        let top = state.search().and_then(|search| {
            let chunk = search.0 >> Tree::<S>::CHUNK_SHIFT;
            self.tree.node(chunk, state.top().height)
        });
        top.map_or(0, |node| {
            let shift = Tree::<S>::child_shift(state.top().height);
            summary::merge(&node.values, shift).max
        })
    }

    /// Runs `note` on every piece of `run` if all of it is taken.
    fn for_taken(
        &self,
        state: &mut State,
        run: PageRun,
        note: impl Fn(Chunk<'_>, Piece),
    ) -> Result<(), PagesError> {
        if !self.is_taken(state, run) {
            return Err(PagesError::NotTaken);
        }
        self.for_each(run, note);
        Ok(())
    }

    /// `run` as a piece of a long chunk, if it lies in one, is owned, and none of it is free.
    #[inline]
    fn taken_piece(&self, state: &State, run: PageRun) -> Option<(Chunk<'_>, Piece)> {
        if Tree::<S>::SHORT_CHUNKS || !Tree::<S>::in_space(run) || !state.owned.contains_run(run) {
            return None;
        }
        let (chunk, piece) = self.near_piece(state, run)?;
        let is_taken = chunk.free.all_are(false, piece.first, piece.count);
        is_taken.then_some((chunk, piece))
    }

    /// Runs `note` on every piece of `run` that has tables.
    fn for_each(&self, run: PageRun, note: impl Fn(Chunk<'_>, Piece)) {
        for piece in Tree::<S>::pieces(run) {
            if let Some(chunk) = self.tree.chunk(piece.chunk) {
                note(chunk, piece);
            }
        }
    }

    /// Whether all pages of `run` are owned and none is free.
    fn is_taken(&self, state: &State, run: PageRun) -> bool {
        Tree::<S>::in_space(run) && state.owned.contains_run(run) && self.all_are(run, false)
    }

    /// Whether all pages of `run` are free, or all of them are not. Each has tables then.
    // One for both.
    #[inline(never)]
    fn all_are(&self, run: PageRun, free: bool) -> bool {
        Tree::<S>::pieces(run).all(|piece| {
            let chunk = self.tree.chunk(piece.chunk);
            chunk.is_some_and(|chunk| chunk.free.all_are(free, piece.first, piece.count))
        })
    }

    /// Whether every page of `run` has tables.
    pub(super) fn is_ensured(&self, run: PageRun) -> bool {
        Tree::<S>::pieces(run).all(|piece| self.tree.chunk(piece.chunk).is_some())
    }

    /// The first maximal scavenged run inside `run`.
    fn next_scavenged(&self, run: PageRun) -> Option<PageRun> {
        if !S::SCAVENGES {
            return None;
        }
        let (first, here) = Tree::<S>::pieces(run).find_map(|piece| {
            let bits = self.tree.chunk(piece.chunk)?.scavenged;
            let first = bits.next_set(piece.first)?;
            let inside = first < piece.first + piece.count;
            let page = PageIdx(piece.chunk * Tree::<S>::CHUNK_PAGES + first);
            inside.then(|| (page, bits.run_above(first)))
        })?;
        let rest = run.end().0 - first.0;
        let reaches_end = (first.0 + here) % Tree::<S>::CHUNK_PAGES == 0;
        if here >= rest || !reaches_end {
            return Some(PageRun::new(first, here.min(rest)));
        }
        let above = PageIdx(first.0 + here);
        let more = self.run_above(above, rest - here, |chunk| chunk.scavenged);
        Some(PageRun::new(first, here + more))
    }

    /// How many pages from `page` up have their bit set in the bitmap that `bits` picks, counted up
    /// to `max`.
    pub(super) fn run_above<'a>(
        &'a self,
        page: PageIdx,
        max: usize,
        bits: impl Fn(Chunk<'a>) -> Bits<'a>,
    ) -> usize {
        let mut found = 0;
        while found < max {
            let at = page.0 + found;
            let Some(chunk) = self.tree.chunk(at / Tree::<S>::CHUNK_PAGES) else {
                break;
            };
            let first = at % Tree::<S>::CHUNK_PAGES;
            let run = bits(chunk).run_above(first);
            found += run;
            if first + run < Tree::<S>::CHUNK_PAGES {
                break;
            }
        }
        found.min(max)
    }
}
