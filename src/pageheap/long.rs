//! Long runs: committed in bounded steps, between which the growth gate is open.
//!
//! A run of more than [`STEP`] pages is taken first, as free pages or as unused address space. Then
//! each step enters the gate, makes a few pages Ready, and leaves it, so that other requests, those
//! of interrupt handlers among them, can call the machine meanwhile, and the reserve is filled up
//! again that they have taken from. At last the run is published. With interrupts masked no handler
//! of this CPU can come between, and the run is committed at once.

use archipelago_api::{Contents, Kernel, Machine};

use super::grow::Claim;
use super::long_piece::LongPiece;
use super::page_heap::{Online, PageHeap, STEP};
use super::plan::Plan;
use super::pool::PagePool;
use super::reclaim::Reclaim;
use super::run::{ReadyRun, Transit, Want};
use crate::base::PageRun;
use crate::base::invariant::expect_invariant;
use crate::region::{Cause, Space, Windows};

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Whether a run of `pages` pages is committed in steps.
    #[inline(always)]
    pub(super) fn is_long(pages: usize) -> bool {
        M::DECOMMITS && pages > STEP && K::interrupts_enabled()
    }

    /// Allocates a long run, and commits or grows for it in steps.
    ///
    /// # Errors
    /// The step that refused; the heap is as it was.
    #[cold]
    #[inline(never)]
    pub(super) fn alloc_long(
        &self,
        online: &Online<M>,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let found = self.find_or_reclaim(online, want, user);
        match found.map(PagePool::<M, K>::if_ready) {
            None => self.grow_long(online, want, user),
            Some(Err(transit)) => self.commit_long(online, transit, user),
            Some(Ok(ready)) => Ok(ready),
        }
    }

    /// Commits a long run of free pages in steps, or frees it again.
    ///
    /// # Errors
    /// The step that refused; the pages that were scavenged are so again.
    pub(super) fn commit_long(
        &self,
        online: &Online<M>,
        transit: Transit,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let committed = self.commit_steps(online, &transit, user);
        self.finish_commit(transit, committed)
    }

    /// Commits a run in transit in steps; returns how many of its first pages may hold others than
    /// zeroes.
    ///
    /// # Errors
    /// The step that refused; nothing is committed.
    fn commit_steps(
        &self,
        online: &Online<M>,
        transit: &Transit,
        user: &impl Reclaim<M>,
    ) -> Result<usize, Cause> {
        let run = transit.run();
        let all = self.pool.count_scavenged(run) << M::GEOMETRY.page_shift;
        let mut unclear = 0;
        for step in steps(run) {
            let committed = self.with_machine(online, user, |space, _| {
                if step.first == run.first {
                    space.admits(all)?;
                }
                self.commit_part(space, transit, step)
            });
            match committed {
                Ok(0) => {}
                Ok(pages) => unclear = step.first.0 - run.first.0 + pages,
                Err(cause) => {
                    let done = PageRun::between(run.first, step.first);
                    let had = self.pool.count_scavenged(done) << M::GEOMETRY.page_shift;
                    // SAFETY: the steps before this one were committed.
                    unsafe { self.uncommit_steps(online, transit, done, user) };
                    return Err(cause.beside(had, had, M::GEOMETRY.granule_bytes()));
                }
            }
            user.between_steps(online);
        }
        Ok(unclear)
    }

    /// Undoes [`commit_steps`](Self::commit_steps) for `done`, the first steps of the run.
    ///
    /// # Safety
    /// `done` was committed for this run in transit.
    unsafe fn uncommit_steps(
        &self,
        online: &Online<M>,
        transit: &Transit,
        done: PageRun,
        user: &impl Reclaim<M>,
    ) {
        for step in steps(done) {
            self.with_open_gate(online, user, |space, _| {
                // SAFETY: the step was committed, as the caller promises.
                unsafe { self.uncommit_part(space, transit, step) };
            });
        }
    }

    /// Grows the heap by a long run.
    ///
    /// # Errors
    /// Objects, free pages, ranges, index and `prepared` are as before.
    fn grow_long(
        &self,
        online: &Online<M>,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let mut claim = None;
        self.with_machine(online, user, |space, windows| {
            claim = Some(self.claim(space, windows, want, true)?);
            Ok(())
        })?;
        // The closure that succeeded has put it there.
        let Claim { plan, tail, piece } = claim.ok_or(Cause::Busy)?;
        let mut piece = LongPiece::new(plan.piece, piece);
        let committed = self.commit_claimed(online, tail.as_ref(), &mut piece, user);
        let unclear = match committed {
            Ok(unclear) => unclear,
            Err(cause) => {
                self.settle_refused(online, tail, piece, user);
                return Err(cause);
            }
        };
        let mut parts = Some((tail, piece));
        let published = self.publish_long(online, plan, &mut parts, user);
        if let (Err(_), Some((tail, mut piece))) = (&published, parts) {
            self.uncommit_claimed(online, tail.as_ref(), &mut piece, user);
            self.settle_refused(online, tail, piece, user);
        }
        let had = plan.piece.bytes::<M>();
        published
            .map(|run| run.with_unclear(unclear))
            .map_err(|cause| cause.beside(had, had, M::GEOMETRY.granule_bytes()))
            .map_err(|cause| Self::too_long(want, cause))
    }

    /// Commits the tail and the piece of a claim in steps; returns how many of the first pages may
    /// hold others than zeroes.
    ///
    /// # Errors
    /// The step that refused; nothing is committed.
    fn commit_claimed(
        &self,
        online: &Online<M>,
        tail: Option<&Transit>,
        piece: &mut LongPiece,
        user: &impl Reclaim<M>,
    ) -> Result<usize, Cause> {
        let granule = M::GEOMETRY.granule_bytes();
        let mut unclear = match tail {
            Some(tail) => self
                .commit_steps(online, tail, user)
                .map_err(|cause| cause.beside(piece.pages().bytes::<M>(), 0, granule))?,
            None => 0,
        };
        while let Some(step) = piece.next_step() {
            let committed = self.with_machine(online, user, |space, _| piece.commit(space, step));
            match committed {
                Ok(Contents::Zeroed) => {}
                // The pages of the steps below may be zero: nobody counts them.
                Ok(_) => unclear = usize::MAX,
                Err(cause) => {
                    let below = tail.map_or(0, |tail| self.pool.count_scavenged(tail.run()));
                    let had = (piece.done() + below) << M::GEOMETRY.page_shift;
                    self.uncommit_claimed(online, tail, piece, user);
                    return Err(cause.beside(had, had, granule));
                }
            }
            user.between_steps(online);
        }
        Ok(unclear)
    }

    /// Undoes [`commit_claimed`](Self::commit_claimed), as far as the piece was committed.
    fn uncommit_claimed(
        &self,
        online: &Online<M>,
        tail: Option<&Transit>,
        piece: &mut LongPiece,
        user: &impl Reclaim<M>,
    ) {
        while let Some(step) = piece.last_step() {
            self.with_open_gate(online, user, |space, _| piece.undo(space, step));
        }
        if let Some(tail) = tail {
            // SAFETY: all of the tail was committed before the piece.
            unsafe { self.uncommit_steps(online, tail, tail.run(), user) };
        }
    }

    /// Gives back a claim of which nothing is committed any more.
    fn settle_refused(
        &self,
        online: &Online<M>,
        tail: Option<Transit>,
        piece: LongPiece,
        user: &impl Reclaim<M>,
    ) {
        let mut claim = Some((tail, piece.into_reserved()));
        self.with_open_gate(online, user, |_, windows| {
            if let Some((tail, piece)) = claim.take() {
                self.drop_claim(windows, tail, piece);
                windows.settle();
            }
        });
    }

    /// Makes the metadata of a claim all of which is committed, in steps, and publishes the claim
    /// with the last one. Takes `parts` if it succeeds.
    ///
    /// # Errors
    /// Why there is no memory; metadata that was made stays, empty and charged.
    fn publish_long(
        &self,
        online: &Online<M>,
        plan: Plan,
        parts: &mut Option<(Option<Transit>, LongPiece)>,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let mut run = None;
        for step in steps(plan.piece) {
            let is_last = step.end() == plan.piece.end();
            let made = self.with_machine(online, user, |space, windows| {
                self.make_metadata(space, windows, step)?;
                if is_last {
                    if let Some((tail, piece)) = parts.take() {
                        run = Some(self.pool.publish(plan, tail, piece.into_ready(), None));
                        windows.settle();
                    }
                }
                Ok(())
            });
            made?;
            user.between_steps(online);
        }
        // The last step has put it there.
        run.ok_or(Cause::Busy)
    }

    /// Does `work`, which cannot fail, inside the growth gate, which is waited for.
    fn with_open_gate(
        &self,
        online: &Online<M>,
        user: &impl Reclaim<M>,
        mut work: impl FnMut(&Space<'_, M>, &mut Windows),
    ) {
        let done = self.with_machine(online, user, |space, windows| {
            work(space, windows);
            Ok(())
        });
        expect_invariant::<K, _, _>(done, "with interrupts on the gate is entered");
    }
}

/// `run` in parts of [`STEP`] pages and a shorter last one.
fn steps(run: PageRun) -> impl Iterator<Item = PageRun> {
    let parts = run.count.div_ceil(STEP);
    (0..parts).map(move |part| {
        let first = run.first.plus(part * STEP);
        PageRun::new(first, STEP.min(run.end().0 - first.0))
    })
}
