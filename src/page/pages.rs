//! Taking and freeing runs of pages.

use crate::base::{PageIdx, PageRun, Shape};
use crate::region::{Cause, Source};

use super::bits::Bits;
use super::find::Hit;
use super::state::{PagesError, State};
use super::summary::{self, Summary};
use super::tree::{Chunk, Piece, Tree};

/// A run that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The pages.
    pub(crate) run: PageRun,
    /// How many of them have no memory.
    pub(crate) scavenged: usize,
}

/// The free pages of a heap: tables that may be read and extended beside the page lock. What they hold is changed
/// with the [`State`] of the same heap in hand.
pub(crate) struct Pages<S> {
    pub(super) tree: Tree<S>,
}

impl<S: Shape> Pages<S> {
    /// Tables without pages.
    pub(crate) const fn new() -> Self {
        Self { tree: Tree::new() }
    }

    /// Makes all tables that the pages of `run` need, so that [`grow`](Self::grow) cannot fail for want of them.
    ///
    /// The caller holds the growth gate and not the page lock. Nothing that anybody sees changes; doing it again is harmless.
    ///
    /// # Errors
    /// Why `source` refused. What was made until then serves the next attempt.
    pub(crate) fn ensure(&self, run: PageRun, source: &mut impl Source) -> Result<(), Cause> {
        self.tree.ensure(run, source)
    }

    /// Publishes `run`, whose tables are ensured, as owned, free and scavenged.
    ///
    /// # Errors
    /// If the run is empty or leaves the space, is owned in part, was not ensured, or finds no room among the owned ranges.
    /// Nothing is changed then.
    pub(crate) fn grow(&self, state: &mut State, run: PageRun) -> Result<(), PagesError> {
        if !Tree::<S>::in_space(run) {
            return Err(PagesError::OutsideSpace);
        }
        if !self.is_ensured(run) {
            return Err(PagesError::NotEnsured);
        }
        state.owned.add(run).map_err(PagesError::Ranges)?;
        self.change(run, |chunk, piece| {
            chunk.scavenged.set(piece.first, piece.count);
            freed(chunk, piece)
        });
        state.free += run.count;
        state.scavenged += run.count;
        state.became_free(run.first);
        Ok(())
    }

    /// Takes the lowest free run of `count` pages; `None` if there is none, or `count` is zero.
    pub(crate) fn alloc(&self, state: &mut State, count: usize) -> Option<Taken> {
        let hit = self.lowest(state, count);
        let Some(hit) = hit else {
            if count == 1 {
                state.none_free();
            }
            return None;
        };
        let taken = self.mark_taken(state, PageRun::new(hit.first, count));
        state.none_free_below(hit.lowest);
        Some(taken)
    }

    /// The run that [`alloc`](Self::alloc) would take.
    pub(crate) fn lowest_run(&self, state: &State, count: usize) -> Option<Taken> {
        let run = PageRun::new(self.lowest(state, count)?.first, count);
        let scavenged = self.count_scavenged(run);
        Some(Taken { run, scavenged })
    }

    /// Takes exactly `run`, or nothing if a page of it is not free.
    pub(crate) fn take(&self, state: &mut State, run: PageRun) -> Option<Taken> {
        if !Tree::<S>::in_space(run) {
            return None;
        }
        let is_free = |piece: Piece| {
            let chunk = self.tree.chunk(piece.chunk);
            chunk.is_some_and(|chunk| chunk.free.all_set(piece.first, piece.count))
        };
        Tree::<S>::pieces(run)
            .all(is_free)
            .then(|| self.mark_taken(state, run))
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
        let mut scavenged = 0;
        self.change(run, |chunk, piece| {
            let here = chunk.scavenged.count(piece.first, piece.count);
            if here < piece.count && !summary::may_be_ready(chunk.value) {
                self.tree.hint_ready(piece.chunk);
            }
            scavenged += here;
            freed(chunk, piece)
        });
        state.free += run.count;
        state.scavenged += scavenged;
        state.became_free(run.first);
        Ok(())
    }

    /// Notes that all of `run`, which is taken, has memory now.
    ///
    /// # Errors
    /// If a page of it is not taken. Nothing is changed then.
    pub(crate) fn made_ready(&self, state: &mut State, run: PageRun) -> Result<(), PagesError> {
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

    /// The maximal runs of scavenged pages inside `run`, lowest first: what has to be committed before the run
    /// is used, or given back if that fails.
    ///
    /// Whoever holds `run` taken need not hold the page lock: nobody else changes the bits of these pages.
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
            .map(|(chunk, piece)| chunk.scavenged.count(piece.first, piece.count))
            .sum()
    }

    /// Whether `page` is free.
    pub(crate) fn is_free(&self, _: &State, page: PageIdx) -> bool {
        let chunk = self.tree.chunk(page.0 / Tree::<S>::CHUNK_PAGES);
        chunk.is_some_and(|chunk| chunk.free.all_set(page.0 % Tree::<S>::CHUNK_PAGES, 1))
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
    pub(crate) fn largest_run(&self, _: &State) -> usize {
        let pages = Tree::<S>::child_pages(Tree::<S>::LEVELS - 1);
        summary::merge(&self.tree.root().values, pages).max
    }

    /// The lowest run of `count` pages.
    #[inline]
    pub(super) fn lowest(&self, state: &State, count: usize) -> Option<Hit> {
        if count == 0 {
            return None;
        }
        let search = state.search()?;
        self.find_near(search, count)
            .or_else(|| self.tree.find(count, search))
    }

    /// The search in the chunk of the search address alone.
    #[inline]
    fn find_near(&self, search: PageIdx, count: usize) -> Option<Hit> {
        let number = search.0 / Tree::<S>::CHUNK_PAGES;
        let from = search.0 % Tree::<S>::CHUNK_PAGES;
        let chunk = self.tree.chunk(number)?;
        if summary::load(chunk.value).max < count {
            return None;
        }
        let found = chunk.free.find(count, from)?;
        let base = number * Tree::<S>::CHUNK_PAGES;
        Some(Hit {
            first: PageIdx(base + found.first),
            lowest: PageIdx(base + found.lowest),
        })
    }

    /// Marks `run`, all of which is free, taken.
    pub(super) fn mark_taken(&self, state: &mut State, run: PageRun) -> Taken {
        let mut scavenged = 0;
        self.change(run, |chunk, piece| {
            scavenged += chunk.scavenged.count(piece.first, piece.count);
            taken(chunk, piece)
        });
        state.free -= run.count;
        state.scavenged -= scavenged;
        Taken { run, scavenged }
    }

    /// Runs `change`, which answers with the chunk's new summary, on every piece of `run`; then brings the
    /// summaries above up to date.
    #[inline]
    pub(super) fn change(&self, run: PageRun, mut change: impl FnMut(Chunk<'_>, Piece) -> Summary) {
        let mut changed = None;
        for piece in Tree::<S>::pieces(run) {
            let Some(chunk) = self.tree.chunk(piece.chunk) else {
                debug_assert!(false, "owned pages have bitmaps");
                continue;
            };
            let summary = change(chunk, piece);
            if summary::store(chunk.value, summary) {
                let (first, _) = changed.unwrap_or((piece.chunk, 0));
                changed = Some((first, piece.chunk));
            }
        }
        if let Some((first, last)) = changed {
            self.tree.refresh(first, last);
        }
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
        for piece in Tree::<S>::pieces(run) {
            if let Some(chunk) = self.tree.chunk(piece.chunk) {
                note(chunk, piece);
            }
        }
        Ok(())
    }

    /// Whether all pages of `run` are owned and none is free.
    fn is_taken(&self, state: &State, run: PageRun) -> bool {
        Tree::<S>::in_space(run)
            && state.owned.contains_run(run)
            && Tree::<S>::pieces(run).all(|piece| {
                let chunk = self.tree.chunk(piece.chunk);
                chunk.is_some_and(|chunk| chunk.free.none_set(piece.first, piece.count))
            })
    }

    /// Whether every page of `run` has tables.
    pub(super) fn is_ensured(&self, run: PageRun) -> bool {
        Tree::<S>::pieces(run).all(|piece| self.tree.chunk(piece.chunk).is_some())
    }

    /// The first maximal scavenged run inside `run`.
    fn next_scavenged(&self, run: PageRun) -> Option<PageRun> {
        let first = Tree::<S>::pieces(run).find_map(|piece| {
            let bits = self.tree.chunk(piece.chunk)?.scavenged;
            let first = bits.next_set(piece.first)?;
            let inside = first < piece.first + piece.count;
            inside.then(|| PageIdx(piece.chunk * Tree::<S>::CHUNK_PAGES + first))
        })?;
        let rest = run.end().0 - first.0;
        let count = self.run_above(first, rest, |chunk| chunk.scavenged);
        Some(PageRun::new(first, count))
    }

    /// How many pages from `page` up have their bit set in the bitmap that `bits` picks, counted up to `max`.
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

/// Frees the pages of `piece`, none of which is free, and answers with the chunk's new summary.
#[inline]
fn freed(chunk: Chunk<'_>, piece: Piece) -> Summary {
    let old = summary::load(chunk.value);
    let end = piece.first + piece.count;
    let below = chunk.free.run_below(piece.first);
    let above = chunk.free.run_above(end);
    chunk.free.set(piece.first, piece.count);
    let run = below + piece.count + above;
    Summary {
        start: if below == piece.first { run } else { old.start },
        max: old.max.max(run),
        end: if end + above == chunk.free.pages() {
            run
        } else {
            old.end
        },
    }
}

/// Takes the pages of `piece`, all of which are free, and answers with the chunk's new summary.
#[inline]
fn taken(chunk: Chunk<'_>, piece: Piece) -> Summary {
    let old = summary::load(chunk.value);
    let end = piece.first + piece.count;
    let below = chunk.free.run_below(piece.first);
    let above = chunk.free.run_above(end);
    chunk.free.clear(piece.first, piece.count);
    if below + piece.count + above == old.max {
        // It may have been the only run of that length.
        return chunk.free.summary();
    }
    Summary {
        start: if below == piece.first {
            below
        } else {
            old.start
        },
        max: old.max,
        end: if end + above == chunk.free.pages() {
            above
        } else {
            old.end
        },
    }
}
