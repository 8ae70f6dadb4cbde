//! Growth: more pages out of the windows.
//!
//! A step takes a piece of unused address space, whole chunks where the window allows it, and makes
//! a request's run in it Ready, in this order: page tables; frames for the run alone; metadata for
//! the piece, empty and invisible; then, in one section under the page lock that cannot fail, the
//! pages are published with the run taken. Nobody sees a piece whose memory was refused, so undoing
//! a step is giving back what nobody saw. Metadata, which cannot be given back, comes after the
//! frames, so that a request for more than there is leaves none.
//!
//! Pieces come from the lowest unused address space that fits, so the rest of one step is where the
//! next begins: there is no cursor that could forget it.

use archipelago_api::{Contents, Kernel, Machine};

use super::page_heap::PageHeap;
use super::plan::Plan;
use super::pool::HeldPool;
use super::run::{ReadyRun, Transit, Want};
use crate::base::PageRun;
use crate::region::token::{Prepared, Ready, Refused, Reserved};
use crate::region::{Cause, Purpose, Source, Space, Windows};

/// A piece that was taken for a step, and the free pages directly below it that are part of the
/// run.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) plan: Plan,
    pub(super) tail: Option<Transit>,
    pub(super) piece: Reserved,
}

/// The memory of a step: the run's new pages, the rest of the piece, and how many of the first
/// pages of the run may hold others than zeroes. The tail is committed.
struct Committed {
    head: Ready,
    rest: Option<Prepared>,
    unclear: usize,
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Metadata is made before the run: where memory is never refused, so that there is nothing to
    /// undo.
    const METADATA_FIRST: bool = !M::DECOMMITS;

    /// Grows the heap by a piece that holds `want`, and makes the run Ready.
    ///
    /// # Errors
    /// Objects, free pages, ranges, index and `prepared` are as before. If frames were refused, no
    /// metadata was made for the piece; else what was made stays: linked, empty and charged.
    pub(super) fn grow(
        &self,
        space: &Space<'_, M>,
        windows: &mut Windows,
        want: Want,
    ) -> Result<ReadyRun, Cause> {
        let Claim { plan, tail, piece } = self.claim(space, windows, want, false)?;
        let grown = match self.commit_piece(space, plan, piece, tail.as_ref()) {
            Ok(committed) if Self::METADATA_FIRST => Ok(self.publish(plan, tail, committed)),
            Ok(committed) => self.publish_piece(space, windows, plan, tail, committed),
            Err(Refused { range, why }) => {
                self.drop_claim(windows, tail, range);
                Err(why)
            }
        };
        windows.settle();
        grown.map_err(|cause| Self::too_long(want, cause))
    }

    /// The refusal of growth for `want`: a run that leaves no room for its metadata is too long for
    /// the window.
    pub(super) fn too_long(want: Want, cause: Cause) -> Cause {
        let Cause::MetadataWindow { bytes } = cause else {
            return cause;
        };
        let run_bytes = want.pages << M::GEOMETRY.page_shift;
        match run_bytes.checked_sub(bytes.next_multiple_of(M::GEOMETRY.page_bytes())) {
            Some(left) if left > 0 => want.has_no_window::<M>(left >> M::GEOMETRY.page_shift),
            _ => cause,
        }
    }

    /// Takes the address space for a step that serves `want`, and for a long run no more.
    ///
    /// # Errors
    /// No window has it, the limit forbids it, or there is no memory to note what is left.
    pub(super) fn claim(
        &self,
        space: &Space<'_, M>,
        windows: &mut Windows,
        want: Want,
        is_long: bool,
    ) -> Result<Claim, Cause> {
        let mut made: Option<Plan> = None;
        let (mut pool, plan) = loop {
            windows.with_metadata::<M, K, _>(|windows| windows.ensure_ranges(space))?;
            let pool = self.pool.hold();
            let mut plan = Self::plan(&pool, windows, want)?;
            if is_long {
                plan.piece = plan.head();
            }
            let below = self.pool.count_scavenged(plan.tail());
            space.admits((plan.head().count + below) << M::GEOMETRY.page_shift)?;
            let is_made = made.is_some_and(|made| made.piece == plan.piece);
            if !Self::METADATA_FIRST || is_made {
                break (pool, plan);
            }
            drop(pool);
            self.make_metadata(space, windows, plan.piece)?;
            made = Some(plan);
        };
        let tail = plan.tail();
        let tail = (!tail.is_empty()).then(|| pool.take(tail));
        drop(pool);
        let piece = windows.take::<M, K>(plan.piece);
        Ok(Claim { plan, tail, piece })
    }

    /// Undoes a claim of which nothing is committed.
    pub(super) fn drop_claim(&self, windows: &mut Windows, tail: Option<Transit>, piece: Reserved) {
        windows.put_back::<M, K>(piece);
        if let Some(tail) = tail {
            self.pool.free_in_transit(tail);
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
    ///
    /// # Errors
    /// Why there is no memory. What was made stays, empty and charged.
    pub(super) fn make_metadata(
        &self,
        space: &Space<'_, M>,
        windows: &mut Windows,
        piece: PageRun,
    ) -> Result<(), Cause> {
        windows.with_metadata::<M, K, _>(|windows| {
            let mut source = windows.source(space);
            self.index.ensure(piece, &mut source)?;
            self.pool.ensure(piece, &mut source)?;
            // Only the gate's holder adds owned ranges, so the room that is needed cannot
            // change until they are added; a piece that takes several steps asks again.
            let needed = self.pool.hold().owned().needs_room(1);
            if let Some(capacity) = needed {
                let memory = source.take(Purpose::Ranges, capacity, 0)?;
                if let Some(old) = self.pool.adopt_ranges(memory) {
                    windows.put_in_stock(old, space);
                }
            }
            if M::DECOMMITS {
                return Ok(());
            }
            // Growth takes no more than a request needs, and may leave no room for the entries of
            // the heap bitmap.
            let mut source = windows.source(space);
            self.bitmap.ensure(&self.index, &mut source, piece)
        })
    }

    /// Makes metadata for the piece, and publishes it. Where metadata finds no address space, the
    /// piece becomes no longer than the run.
    ///
    /// # Errors
    /// The step is undone.
    fn publish_piece(
        &self,
        space: &Space<'_, M>,
        windows: &mut Windows,
        mut plan: Plan,
        tail: Option<Transit>,
        committed: Committed,
    ) -> Result<ReadyRun, Cause> {
        let Committed {
            head,
            mut rest,
            unclear,
        } = committed;
        loop {
            let cause = match self.make_metadata(space, windows, plan.piece) {
                Ok(()) => {
                    let committed = Committed {
                        head,
                        rest,
                        unclear,
                    };
                    return Ok(self.publish(plan, tail, committed));
                }
                Err(cause) => cause,
            };
            if matches!(cause, Cause::MetadataWindow { .. }) {
                if let Some(rest) = rest.take() {
                    windows.put_back::<M, K>(space.unprepare(rest));
                    plan.piece = plan.head();
                    continue;
                }
            }
            let had = plan.head().bytes::<M>();
            let piece = space.unmake(head, rest, Purpose::Objects);
            if let Some(tail) = &tail {
                // SAFETY: all of the tail was committed with the piece.
                unsafe { self.uncommit_part(space, tail, tail.run()) };
            }
            self.drop_claim(windows, tail, piece);
            return Err(cause.beside(had, had, M::GEOMETRY.granule_bytes()));
        }
    }

    /// Publishes a piece whose metadata is made.
    fn publish(&self, plan: Plan, tail: Option<Transit>, committed: Committed) -> ReadyRun {
        let Committed {
            head,
            rest,
            unclear,
        } = committed;
        self.pool
            .publish(plan, tail, head, rest)
            .with_unclear(unclear)
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
        let (head_bytes, granule) = (plan.head().bytes::<M>(), M::GEOMETRY.granule_bytes());
        let tail_unclear = match tail {
            Some(tail) => match self.commit_part(space, tail, tail.run()) {
                Ok(unclear) => unclear,
                Err(why) => {
                    let why = why.beside(head_bytes, 0, granule);
                    return Err(Refused::new(piece, why));
                }
            },
            None => 0,
        };
        let committed = space.prepare(piece).and_then(|prepared| {
            let (head, rest) = prepared.split_at(head_bytes);
            match space.commit_admitted(head, Purpose::Objects) {
                Ok((head, contents)) => Ok(Committed {
                    head,
                    rest,
                    unclear: match contents {
                        Contents::Zeroed => tail_unclear,
                        _ => plan.run.count,
                    },
                }),
                Err(Refused { range, why }) => Err(Refused {
                    range: space.unprepare(range.join(rest)),
                    why,
                }),
            }
        });
        committed.map_err(|mut refused| {
            if let Some(tail) = tail {
                let had = self.pool.count_scavenged(tail.run()) << M::GEOMETRY.page_shift;
                refused.why = refused.why.beside(had, had, granule);
                // SAFETY: all of the tail was committed just now.
                unsafe { self.uncommit_part(space, tail, tail.run()) };
            }
            refused
        })
    }
}

#[cfg(test)]
mod tests {
    use archipelago_sim::{Hosted, Plain32, Sim, SimGeometry as _};

    use super::*;

    const PAGE: usize = Plain32::GEOMETRY.page_bytes();

    #[test]
    fn a_run_that_leaves_no_room_for_its_metadata_is_too_long() {
        let want = Want::pages(3);
        let of = |cause| PageHeap::<Sim<Plain32>, Hosted>::too_long(want, cause);
        let largest = |pages| want.has_no_window::<Sim<Plain32>>(pages);
        let refused = |bytes| Cause::MetadataWindow { bytes };
        assert_eq!(of(refused(1)), largest(2));
        assert_eq!(of(refused(PAGE)), largest(2));
        assert_eq!(of(refused(PAGE + 1)), largest(1));
        // Metadata that takes all of it, or more, is not for the run alone.
        for bytes in [2 * PAGE + 1, 3 * PAGE, 3 * PAGE + 1] {
            assert_eq!(of(refused(bytes)), refused(bytes));
        }
        assert_eq!(of(Cause::Busy), Cause::Busy);
    }
}
