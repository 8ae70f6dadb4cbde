//! The choice of the piece of address space that growth takes next.

use super::run::Want;
use crate::base::{PageIdx, PageRun, Shape};

/// A step of growth that is decided on and still invisible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Address space to publish.
    pub(super) piece: PageRun,
    /// The request's run: free pages directly below the piece, if any, then the first of the piece.
    pub(super) run: PageRun,
}

impl Plan {
    /// The part of the run that was free before.
    pub(super) const fn tail(&self) -> PageRun {
        PageRun::between(self.run.first, self.piece.first)
    }

    /// The part of the run that is new.
    pub(super) const fn head(&self) -> PageRun {
        PageRun::between(self.piece.first, self.run.end())
    }

    /// The step that serves `want` from at most `allowance` pages of `candidate` and the `below`
    /// free pages under it.
    pub(super) fn within<S: Shape>(
        candidate: PageRun,
        below: usize,
        want: Want,
        allowance: usize,
    ) -> Option<Self> {
        let lowest = candidate.first.0 - below;
        let mask = want.align_pages - 1;
        let first = lowest.checked_add(mask)? & !mask;
        let end = first.checked_add(want.pages)?;
        if end > candidate.end().0 || end <= candidate.first.0 {
            return None;
        }
        let piece_first = first.max(candidate.first.0);
        if end - piece_first > allowance {
            return None;
        }
        let most = candidate.end().0.min(piece_first.saturating_add(allowance));
        let chunk_pages = S::GEOMETRY.chunk_pages();
        // Where memory cannot be given back, none is taken before it is needed.
        let piece_end = if S::SCAVENGES {
            end.next_multiple_of(chunk_pages).min(most)
        } else {
            end
        };
        Some(Self {
            piece: PageRun::between(PageIdx(piece_first), PageIdx(piece_end)),
            run: PageRun::new(PageIdx(first), want.pages),
        })
    }
}
