//! Taking and freeing runs of pages.

use crate::base::{PageIdx, PageRun, Shape};
use crate::region::Need;
use crate::region::{Cause, Source};

use super::bits::{Bits, ChunkBits};
use super::free_pages::{FreePages, Taken};
use super::state::{PagesError, State};
use super::summary;
use super::tree::{Chunk, Piece, Tree, TreeNode};

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
        let (old, new) = (state.top(), Self::height_of_top(state));
        if let Some(before) = before {
            let chunk = before.first.0 >> Tree::<S>::CHUNK_SHIFT;
            self.tree.lift(chunk, old, new);
        }
        state.set_top(new);
    }

    /// The height of the lowest node above every owned page.
    pub(super) fn height_of_top(state: &State) -> usize {
        let mut ranges = state.owned.iter();
        let Some(first) = ranges.next() else {
            return 0;
        };
        let last = ranges.next_back().unwrap_or(first);
        Tree::<S>::height_above(
            first.first.0 >> Tree::<S>::CHUNK_SHIFT,
            (last.end().0 - 1) >> Tree::<S>::CHUNK_SHIFT,
        )
    }

    /// Takes the lowest free run of `count` pages; `None` if there is none, or `count` is zero.
    pub(crate) fn alloc(&self, state: &mut State, count: usize) -> Option<Taken> {
        if Tree::<S>::SHORT_CHUNKS {
            return self.alloc_walking(state, count, 1);
        }
        if count == 0 {
            return None;
        }
        let search = state.search()?;
        if let Some((chunk, piece, lowest)) = self.find_near(search, count) {
            let floor = lowest.0 % Tree::<S>::CHUNK_PAGES;
            let taken = self.mark_piece_taken(state, chunk, piece, floor);
            state.none_free_below_owned(lowest);
            return Some(taken);
        }
        let Some(hit) = self.tree.find(state.top(), count, search) else {
            if count == 1 {
                state.none_free();
            }
            return None;
        };
        let taken = self.mark_taken(state, PageRun::new(hit.first, count));
        state.none_free_below(hit.lowest);
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
    /// before the run is used, or given back if that fails.
    ///
    /// Whoever holds `run` taken need not hold the page lock: nobody else changes the bits of these
    /// pages.
    pub(crate) fn scavenged_runs(&self, run: PageRun) -> impl Iterator<Item = PageRun> + '_ {
        let mut at = run.first.0;
        core::iter::from_fn(move || {
            let next = self.next_scavenged(PageRun::between(PageIdx(at), run.end()))?;
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
            self.tree.node(chunk, state.top())
        });
        top.map_or(0, |node| {
            let shift = Tree::<S>::child_shift(state.top());
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
