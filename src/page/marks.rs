//! Marking pages taken and free, with every summary brought up to date.

use crate::base::{PageIdx, PageRun, Shape};

use super::free_pages::{FreePages, Taken};
use super::state::State;
use super::summary::{self, Summary};
use super::tree::{Chunk, Piece, Tree};

impl<S: Shape> FreePages<S> {
    const MARKS_SHORT: bool = Tree::<S>::SHORT_CHUNKS && !S::SCAVENGES;

    /// Marks `run` free or taken where chunks are short and nothing is scavenged: both ways are one.
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

    /// Marks `run`, all of which is free, taken.
    pub(super) fn mark_taken(&self, state: &mut State, run: PageRun) -> Taken {
        if Self::MARKS_SHORT {
            self.mark_short(state, run, false);
            state.free -= run.count;
            return Taken { run, scavenged: 0 };
        }
        let mut scavenged = 0;
        self.change(state.top(), run, |chunk, piece| {
            scavenged += Self::scavenged_in(chunk, piece);
            taken::<S>(chunk, piece, 0)
        });
        state.free -= run.count;
        state.scavenged -= scavenged;
        Taken { run, scavenged }
    }

    /// Marks `piece` of `chunk`, all of which is free, taken. No page of the chunk below `floor` is
    /// free.
    #[inline]
    pub(super) fn mark_piece_taken(
        &self,
        state: &mut State,
        chunk: Chunk<'_>,
        piece: Piece,
        floor: usize,
    ) -> Taken {
        let scavenged = Self::scavenged_in(chunk, piece);
        if summary::store(chunk.value, taken::<S>(chunk, piece, floor)) {
            self.tree.refresh(state.top(), piece.chunk, piece.chunk);
        }
        state.free -= piece.count;
        state.scavenged -= scavenged;
        let first = (piece.chunk << Tree::<S>::CHUNK_SHIFT) + piece.first;
        Taken {
            run: PageRun::new(PageIdx(first), piece.count),
            scavenged,
        }
    }

    /// Marks `run`, none of which is free, free.
    pub(super) fn mark_free(&self, state: &mut State, run: PageRun) {
        if Self::MARKS_SHORT {
            self.mark_short(state, run, true);
            state.free += run.count;
            return state.became_free(run.first);
        }
        let mut scavenged = 0;
        self.change(state.top(), run, |chunk, piece| {
            let here = Self::scavenged_in(chunk, piece);
            scavenged += here;
            if S::SCAVENGES && here < piece.count && !summary::may_be_ready(chunk.value) {
                self.tree.hint_ready(piece.chunk);
            }
            freed::<S>(chunk, piece)
        });
        state.free += run.count;
        state.scavenged += scavenged;
        state.became_free(run.first);
    }

    /// Runs `change`, which answers with the chunk's new summary, on every piece of `run`; then
    /// brings the summaries above up to date, as far as height `top`.
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
fn freed<S: Shape>(chunk: Chunk<'_>, piece: Piece) -> Summary {
    if Tree::<S>::SHORT_CHUNKS {
        chunk.free.set(piece.first, piece.count);
        return chunk.free.summary();
    }
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

/// Takes the pages of `piece`, all of which are free, and answers with the chunk's new summary. No
/// page below `floor` is free.
#[inline]
fn taken<S: Shape>(chunk: Chunk<'_>, piece: Piece, floor: usize) -> Summary {
    if Tree::<S>::SHORT_CHUNKS {
        chunk.free.clear(piece.first, piece.count);
        return chunk.free.summary();
    }
    let old = summary::load(chunk.value);
    let pages = chunk.free.pages();
    let end = piece.first + piece.count;
    let below = chunk.free.run_below(piece.first);
    let above = chunk.free.run_above(end);
    chunk.free.clear(piece.first, piece.count);
    let max = if below + piece.count + above == old.max {
        // It may have been the only run of that length.
        let left = below.max(above);
        let elsewhere = (piece.first - below - floor).max(pages - end - above);
        if left >= elsewhere {
            left
        } else if chunk.free.find(old.max, floor).is_some() {
            old.max
        } else {
            return chunk.free.summary();
        }
    } else {
        old.max
    };
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
