//! Marking pages taken and free, with every summary brought up to date.

use crate::base::{PageRun, Shape};

use super::pages::{Pages, Taken};
use super::state::State;
use super::summary::{self, Summary};
use super::tree::{Chunk, Piece, Tree};

impl<S: Shape> Pages<S> {
    /// Marks `run`, all of which is free, taken.
    pub(super) fn mark_taken(&self, state: &mut State, run: PageRun) -> Taken {
        let mut scavenged = 0;
        self.change(state.top(), run, |chunk, piece| {
            scavenged += chunk.scavenged.count(piece.first, piece.count);
            taken(chunk, piece)
        });
        state.free -= run.count;
        state.scavenged -= scavenged;
        Taken { run, scavenged }
    }

    /// Marks `run`, none of which is free, free.
    pub(super) fn mark_free(&self, state: &mut State, run: PageRun) {
        let mut scavenged = 0;
        self.change(state.top(), run, |chunk, piece| {
            let here = chunk.scavenged.count(piece.first, piece.count);
            scavenged += here;
            if here < piece.count && !summary::may_be_ready(chunk.value) {
                self.tree.hint_ready(piece.chunk);
            }
            freed(chunk, piece)
        });
        state.free += run.count;
        state.scavenged += scavenged;
        state.became_free(run.first);
    }

    /// Runs `change`, which answers with the chunk's new summary, on every piece of `run`; then brings the
    /// summaries above up to date, as far as height `top`.
    #[inline]
    pub(super) fn change(
        &self,
        top: usize,
        run: PageRun,
        mut change: impl FnMut(Chunk<'_>, Piece) -> Summary,
    ) {
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
            self.tree.refresh(top, first, last);
        }
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
    let pages = chunk.free.pages();
    let end = piece.first + piece.count;
    let below = chunk.free.run_below(piece.first);
    let above = chunk.free.run_above(end);
    chunk.free.clear(piece.first, piece.count);
    let longest = below + piece.count + above == old.max;
    // Two runs of more than half the chunk do not fit into it.
    if longest && (old.max > pages / 2 || chunk.free.find(old.max, 0).is_none()) {
        return chunk.free.summary();
    }
    Summary {
        start: if below == piece.first {
            below
        } else {
            old.start
        },
        max: old.max,
        end: if end + above == pages { above } else { old.end },
    }
}
