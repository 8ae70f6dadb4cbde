//! Marking pages taken and free, with every summary brought up to date.

use crate::base::{PageIdx, PageRun, Shape};

use super::free_pages::{FreePages, Taken};
use super::state::{LONGEST_BOUND, State};
use super::summary::{self, Summary, Value};
use super::tree::{Chunk, Piece, Top, Tree};

impl<S: Shape> FreePages<S> {
    const MARKS_SHORT: bool = Tree::<S>::SHORT_CHUNKS && !S::SCAVENGES;

    /// Marks `run` free or taken where chunks are short and nothing is scavenged: both ways are
    /// one.
    #[inline(never)]
    fn mark_short(&self, state: &mut State, run: PageRun, free: bool) {
        self.change(state.top(), run, |chunk, piece| {
            if free {
                chunk.free.set(piece.first, piece.count);
            } else {
                chunk.free.clear(piece.first, piece.count);
            }
            chunk.free.summary()
        });
    }

    /// The chunk of `run` if it lies in one, and chunks are long.
    #[inline]
    pub(super) fn near_piece(&self, state: &State, run: PageRun) -> Option<(Chunk<'_>, Piece)> {
        if Tree::<S>::SHORT_CHUNKS {
            return None;
        }
        let piece = Tree::<S>::piece(run)?;
        let chunk = self.tree.chunk_from(state.top(), piece.chunk)?;
        Some((chunk, piece))
    }

    /// Marks `run`, all of which is free, taken.
    pub(super) fn mark_taken(&self, state: &mut State, run: PageRun) -> Taken {
        if Self::MARKS_SHORT {
            self.mark_short(state, run, false);
            state.free -= run.count;
            return Taken { run, scavenged: 0 };
        }
        if let Some((chunk, piece)) = self.near_piece(state, run) {
            return self.mark_piece_taken(state, chunk, piece, usize::MAX);
        }
        let mut scavenged = 0;
        self.change(state.top(), run, |chunk, piece| {
            scavenged += Self::scavenged_in(chunk, piece);
            taken::<S>(chunk, piece, summary::load(chunk.value), usize::MAX)
        });
        state.free -= run.count;
        state.scavenged -= scavenged;
        Taken { run, scavenged }
    }

    /// Marks `piece` of `chunk`, all of which is free, taken. No run of more than `below` pages
    /// lies below it in the chunk.
    #[inline]
    pub(super) fn mark_piece_taken(
        &self,
        state: &mut State,
        chunk: Chunk<'_>,
        piece: Piece,
        below: usize,
    ) -> Taken {
        let scavenged = Self::scavenged_in(chunk, piece);
        let old = summary::load(chunk.value);
        let new = taken::<S>(chunk, piece, old, below);
        self.note_summary(state, chunk.value, piece.chunk, new);
        state.free -= piece.count;
        state.scavenged -= scavenged;
        Taken {
            run: Tree::<S>::run_of(piece),
            scavenged,
        }
    }

    /// Marks `piece` of `chunk`, none of which is free, free.
    #[inline]
    pub(super) fn mark_piece_free(&self, state: &mut State, chunk: Chunk<'_>, piece: Piece) {
        let scavenged = self.scavenged_of_freed(chunk, piece);
        let old = summary::load(chunk.value);
        let new = freed::<S>(state, chunk, piece, old);
        self.note_summary(state, chunk.value, piece.chunk, new);
        state.free += piece.count;
        state.scavenged += scavenged;
        state.became_free(Tree::<S>::run_of(piece).first);
    }

    /// Writes the summary of chunk `number`, which may be as before, and those above.
    #[inline]
    pub(super) fn note_summary(&self, state: &State, value: &Value, number: usize, new: Summary) {
        let old = summary::load(value);
        if summary::store(value, new) {
            self.tree.refresh_above(state.top(), number, old, new);
        }
    }

    /// How many pages of a piece that becomes free are scavenged. The others are hinted at.
    #[inline]
    fn scavenged_of_freed(&self, chunk: Chunk<'_>, piece: Piece) -> usize {
        let scavenged = Self::scavenged_in(chunk, piece);
        if S::SCAVENGES && scavenged < piece.count && !summary::may_be_ready(chunk.value) {
            self.tree.hint_ready(piece.chunk);
        }
        scavenged
    }

    /// Marks `run`, none of which is free, free.
    pub(super) fn mark_free(&self, state: &mut State, run: PageRun) {
        if Self::MARKS_SHORT {
            self.mark_short(state, run, true);
            state.free += run.count;
            return state.became_free(run.first);
        }
        let mut scavenged = 0;
        let top = state.top();
        self.change(top, run, |chunk, piece| {
            scavenged += self.scavenged_of_freed(chunk, piece);
            freed::<S>(state, chunk, piece, summary::load(chunk.value))
        });
        state.free += run.count;
        state.scavenged += scavenged;
        state.became_free(run.first);
    }

    /// Runs `change`, which answers with the chunk's new summary, on every piece of `run`; then
    /// brings the summaries above up to date, as far as `top`.
    #[inline]
    pub(super) fn change(
        &self,
        top: Top,
        run: PageRun,
        mut change: impl FnMut(Chunk<'_>, Piece) -> Summary,
    ) {
        let mut changed = None;
        for piece in Tree::<S>::pieces(run) {
            let Some(chunk) = self.tree.chunk_from(top, piece.chunk) else {
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
            self.tree.refresh(top, first, last);
        }
    }
}

/// Frees the pages of `piece`, none of which is free, and answers with the chunk's new summary.
#[inline]
fn freed<S: Shape>(state: &mut State, chunk: Chunk<'_>, piece: Piece, old: Summary) -> Summary {
    if Tree::<S>::SHORT_CHUNKS {
        chunk.free.set(piece.first, piece.count);
        return chunk.free.summary();
    }
    let end = piece.first + piece.count;
    let below = chunk.free.run_below(piece.first);
    let above = chunk.free.run_above(end);
    chunk.free.set(piece.first, piece.count);
    let run = below + piece.count + above;
    let mut new = Summary {
        max: old.max.max(run),
        ..old
    };
    let mut start = Tree::<S>::run_of(piece).first.0 - below;
    let mut longest = run;
    if below == piece.first {
        new.start = run;
        // It may go on below.
        (start, longest) = (start.saturating_sub(LONGEST_BOUND), LONGEST_BOUND);
    }
    if end + above == chunk.free.pages() {
        new.end = run;
        // It may go on above.
        longest = LONGEST_BOUND;
    }
    state.run_became_free(PageIdx(start), longest);
    new
}

/// Takes the pages of `piece`, all of which are free, and answers with the chunk's new summary. No
/// run of more than `most_below` pages lies below the piece.
#[inline]
fn taken<S: Shape>(chunk: Chunk<'_>, piece: Piece, old: Summary, most_below: usize) -> Summary {
    if Tree::<S>::SHORT_CHUNKS {
        chunk.free.clear(piece.first, piece.count);
        return chunk.free.summary();
    }
    let pages = chunk.free.pages();
    let end = piece.first + piece.count;
    let below = chunk.free.run_below(piece.first);
    let above = chunk.free.run_above(end);
    chunk.free.clear(piece.first, piece.count);
    let mut max = old.max;
    if below + piece.count + above == old.max {
        // It may have been the only run of that length.
        max = below.max(above);
        if max < pages - end - above {
            max = chunk.free.longest(end + above..pages, max, old.max);
        }
        if max < most_below.min(piece.first - below) {
            max = chunk.free.longest(0..piece.first - below, max, old.max);
        }
    }
    Summary {
        start: if below == piece.first {
            below
        } else {
            old.start
        },
        max,
        end: if end + above == pages { above } else { old.end },
    }
}
