//! The new part of a long run while it becomes Ready.

use archipelago_api::{Contents, Machine, VirtRange};

use super::page_heap::STEP;
use crate::base::PageRun;
use crate::region::token::{Ready, Refused, Reserved};
use crate::region::{Cause, Purpose, Space};

/// A piece of address space that becomes Ready from below.
///
/// # Invariants
/// 1. The first `done` pages are Ready and charged to objects, the others Reserved.
/// 2. No token or record names any of them.
#[derive(Debug)]
pub(super) struct LongPiece {
    range: VirtRange,
    pages: PageRun,
    done: usize,
}

impl LongPiece {
    /// The piece `pages`, whose token is used up.
    pub(super) fn new(pages: PageRun, piece: Reserved) -> Self {
        Self {
            range: piece.record(),
            pages,
            done: 0,
        }
    }

    /// The pages.
    pub(super) const fn pages(&self) -> PageRun {
        self.pages
    }

    /// How many of the pages are committed.
    pub(super) const fn done(&self) -> usize {
        self.done
    }

    /// The pages to be committed next.
    pub(super) fn next_step(&self) -> Option<PageRun> {
        let first = self.pages.first.plus(self.done);
        let left = self.pages.count - self.done;
        (left > 0).then(|| PageRun::new(first, left.min(STEP)))
    }

    /// The pages that were committed last.
    pub(super) fn last_step(&self) -> Option<PageRun> {
        let before = self.done.checked_sub(1)? / STEP * STEP;
        let first = self.pages.first.plus(before);
        Some(PageRun::new(first, self.done - before))
    }

    /// Commits the next step.
    ///
    /// # Errors
    /// The step is Reserved. The figures are those of all that is not committed yet.
    pub(super) fn commit<M: Machine>(
        &mut self,
        space: &Space<'_, M>,
        step: PageRun,
    ) -> Result<Contents, Cause> {
        let range = step.range::<M>().ok_or(Cause::Busy)?;
        // SAFETY: the step is Reserved and named by no token, by the invariants of the piece.
        let reserved = unsafe { Reserved::assume(range) };
        let committed = space.prepare(reserved).and_then(|prepared| {
            space
                .commit(prepared, Purpose::Objects)
                .map_err(|Refused { range, why }| Refused::new(space.unprepare(range), why))
        });
        match committed {
            Ok((ready, contents)) => {
                ready.record();
                self.done += step.count;
                Ok(contents)
            }
            Err(Refused { range, why }) => {
                range.record();
                let to_come = PageRun::between(step.first, self.pages.end());
                Err(why.for_all(to_come.bytes::<M>(), 0, M::GEOMETRY.granule_bytes()))
            }
        }
    }

    /// Undoes the last step.
    pub(super) fn undo<M: Machine>(&mut self, space: &Space<'_, M>, step: PageRun) {
        if let Some(range) = step.range::<M>() {
            // SAFETY: the step is Ready and named by no token, by the invariants of the piece.
            let ready = unsafe { Ready::assume(range) };
            space.unmake(ready, None, Purpose::Objects).record();
        }
        self.done -= step.count;
    }

    /// The token of the piece, none of which is committed.
    pub(super) fn into_reserved(self) -> Reserved {
        debug_assert_eq!(self.done, 0, "nothing is committed");
        // SAFETY: all of the piece is Reserved and named by no token, by its invariants.
        unsafe { Reserved::assume(self.range) }
    }

    /// The token of the piece, all of which is committed.
    pub(super) fn into_ready(self) -> Ready {
        debug_assert_eq!(self.done, self.pages.count, "all is committed");
        // SAFETY: all of the piece is Ready and named by no token, by its invariants.
        unsafe { Ready::assume(self.range) }
    }
}
