//! Growth: more pages out of the windows.
//!
//! A step takes a piece of unused address space, whole chunks where the window allows it, and makes
//! a request's run in it Ready, in this order: metadata for the piece, empty and invisible; page
//! tables; frames for the run alone; then, in one section under the page lock that cannot fail, the
//! pages are published with the run taken. Nobody sees a piece whose memory was refused, so undoing
//! a step is giving back what nobody saw.
//!
//! Pieces come from the lowest unused address space that fits, so the rest of one step is where the
//! next begins: there is no cursor that could forget it.

use archipelago_api::{Contents, Kernel, Machine};

use super::commit::CommittedRun;
use super::page_heap::PageHeap;
use super::plan::Plan;
use super::pool::HeldPool;
use super::run::{ReadyRun, Transit, Want};
use crate::base::PageRun;
use crate::region::token::{Prepared, Ready, Refused, Reserved};
use crate::region::{Cause, Purpose, Source, Space, Windows};

/// The memory of a step: the run's new pages, the rest of the piece, and whether all of the run is
/// known to be zero.
struct Committed {
    head: Ready,
    rest: Option<Prepared>,
    is_zeroed: bool,
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Grows the heap by a piece that holds `want`, and makes the run Ready.
    ///
    /// # Errors
    /// Objects, free pages, ranges, index and `prepared` are as before. Metadata that was made for
    /// the piece stays: linked, empty and charged.
    pub(super) fn grow(
        &self,
        space: &Space<'_, M>,
        windows: &mut Windows,
        want: Want,
    ) -> Result<ReadyRun, Cause> {
        let mut plan = Self::plan(&self.pool.hold(), windows, want)?;
        let grown = self.grow_as_planned(space, windows, want, &mut plan);
        match &grown {
            Ok(ready) => self.claim_committed(want.scan, ready.run()),
            Err(_) => self
                .bitmap
                .give_back(&self.index, space, want.scan, plan.run),
        }
        grown
    }

    /// Grows by `plan`, or by the plan that replaces it where pages were taken since it was made.
    #[inline]
    fn grow_as_planned(
        &self,
        space: &Space<'_, M>,
        windows: &mut Windows,
        want: Want,
        plan: &mut Plan,
    ) -> Result<ReadyRun, Cause> {
        loop {
            windows.with_metadata::<M, K>(|windows| {
                self.make_metadata(space, windows, plan.piece)?;
                self.bitmap
                    .commit(&self.index, space, windows, want.scan, plan.run)
            })?;
            // Metadata comes out of the same address space, and pages below may have been taken or
            // freed since: then the run begins elsewhere, and another part of the bitmap covers it.
            let mut pool = self.pool.hold();
            let again = Self::plan(&pool, windows, want)?;
            if again.piece == plan.piece && self.covers(want.scan, again.run) {
                *plan = again;
                let tail = plan.tail();
                let tail = (!tail.is_empty()).then(|| pool.take(tail));
                drop(pool);
                return self.commit_and_publish(space, windows, *plan, tail);
            }
            drop(pool);
            self.bitmap
                .give_back(&self.index, space, want.scan, plan.run);
            *plan = again;
        }
    }

    /// Finds the lowest unused address space in which `want` fits, together with free pages
    /// directly below.
    fn plan(pool: &HeldPool<'_, M, K>, windows: &Windows, want: Want) -> Result<Plan, Cause> {
        let mut best: Option<Plan> = None;
        let mut largest = 0;
        let allowance = windows.allowance::<M>(pool.owned().total_pages());
        for candidate in windows.candidates() {
            let below = pool.free_below(candidate.first, want.pages);
            largest = largest.max(candidate.count.min(allowance) + below);
            let Some(plan) = Plan::within::<M>(candidate, below, want, allowance) else {
                continue;
            };
            if best.is_none_or(|best| plan.piece.first < best.piece.first) {
                best = Some(plan);
            }
        }
        best.ok_or(want.has_no_window::<M>(largest))
    }

    /// Makes all the metadata that publishing `piece` needs.
    fn make_metadata(
        &self,
        space: &Space<'_, M>,
        windows: &mut Windows,
        piece: PageRun,
    ) -> Result<(), Cause> {
        windows.ensure_ranges(space)?;
        let mut source = windows.source(space);
        self.index.ensure(piece, &mut source)?;
        self.pool.ensure(piece, &mut source)?;
        // Only the gate's holder adds owned ranges, so the room that is needed cannot change until
        // they are added.
        let needed = self.pool.hold().owned().needs_room();
        if let Some(capacity) = needed {
            let memory = source.take(Purpose::Ranges, capacity, 0)?;
            if let Some(old) = self.pool.adopt_ranges(memory) {
                windows.put_in_stock(old, space);
            }
        }
        Ok(())
    }

    /// Prepares the piece, commits the run, of which the free pages below are `tail`, and publishes
    /// both.
    fn commit_and_publish(
        &self,
        space: &Space<'_, M>,
        windows: &mut Windows,
        plan: Plan,
        tail: Option<Transit>,
    ) -> Result<ReadyRun, Cause> {
        let committed = windows.take_if::<M, K, _>(plan.piece, |piece| {
            self.commit_piece(space, plan, piece, tail.as_ref())
        });
        match committed {
            Ok(Committed {
                head,
                rest,
                is_zeroed,
            }) => {
                let run = self.pool.publish(plan, tail, head, rest);
                Ok(run.with_zeroed(is_zeroed))
            }
            Err(cause) => {
                if let Some(tail) = tail {
                    self.pool.free_in_transit(tail);
                }
                Err(cause)
            }
        }
    }

    /// Makes the whole run Ready and prepares the piece, or leaves both as they were. The new part
    /// of the run comes last, so that nothing has to undo it.
    fn commit_piece(
        &self,
        space: &Space<'_, M>,
        plan: Plan,
        piece: Reserved,
        tail: Option<&Transit>,
    ) -> Result<Committed, Refused<Reserved, Cause>> {
        let tail = match tail
            .map(|tail| self.commit_scavenged(space, tail))
            .transpose()
        {
            Ok(tail) => tail,
            Err(why) => return Err(Refused { range: piece, why }),
        };
        let tail_is_zeroed = tail.as_ref().is_none_or(CommittedRun::is_zeroed);
        let committed = space.prepare(piece).and_then(|prepared| {
            let (head, rest) = prepared.split_at(plan.head().bytes::<M>());
            match space.commit(head, Purpose::Objects) {
                Ok((head, contents)) => Ok(Committed {
                    head,
                    rest,
                    is_zeroed: tail_is_zeroed && contents == Contents::Zeroed,
                }),
                Err(Refused { range, why }) => Err(Refused {
                    range: space.unprepare(range.join(rest)),
                    why,
                }),
            }
        });
        if let (Err(_), Some(tail)) = (&committed, tail) {
            self.uncommit_scavenged(space, tail);
        }
        committed
    }
}
