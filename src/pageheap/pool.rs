//! The page pool: free pages and the reserve, behind the page lock.
//!
//! Every run that leaves the pool leaves as a token, and every token comes back to it.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use archipelago_api::{Kernel, Machine};

use super::plan::Plan;
use super::run::{ReadyRun, Transit, Want};
use super::side::Side;
use crate::base::invariant::expect_invariant;
use crate::base::lock::{RankedGuard, RankedLock, rank};
use crate::base::sparse::Zeroed;
use crate::base::{PageIdx, PageRun};
use crate::page::{FreePages, Taken};
use crate::region::ranges::{Outgrown, Slot};
use crate::region::token::{Prepared, Ready};
use crate::region::{Cause, Ledger, Purpose, Source};

/// The pages that a heap on `M` owns and does not use.
pub(crate) struct PagePool<M: Machine, K: Kernel> {
    pages: FreePages<M>,
    pub(super) side: RankedLock<Side, K, { rank::PAGE }>,
    /// The reserve has less than the kernel asked for.
    reserve_is_low: AtomicBool,
    /// The reserve is being filled.
    pub(super) reserve_is_filling: AtomicBool,
    /// Metadata has a window of its own.
    pub(super) metadata_is_apart: AtomicBool,
    /// The block of a CPU is being made.
    pub(super) makes_block: AtomicBool,
    /// The memory that the heap had when the reserve could not be filled. Here for the sake of the
    /// heap's size.
    pub(super) refused_at: AtomicUsize,
}

/// Free pages that are Ready and were taken to lose their memory. Nothing else names them.
#[derive(Debug)]
#[must_use = "pages that were taken are lost unless they are freed"]
pub(super) struct Victim {
    pub(super) run: PageRun,
}

impl Victim {
    /// The pages.
    pub(super) const fn run(&self) -> PageRun {
        self.run
    }
}

/// The pool, held still.
pub(crate) struct HeldPool<'a, M: Machine, K: Kernel> {
    pub(super) pages: &'a FreePages<M>,
    pub(super) side: RankedGuard<'a, Side, K, { rank::PAGE }>,
}

impl<M: Machine, K: Kernel> PagePool<M, K> {
    /// Whether pages are made Ready ahead.
    const KNOWS_CLEAR: bool = M::DECOMMITS && K::CPUS > 0;

    /// A pool without pages.
    pub(super) const fn new() -> Self {
        Self {
            pages: FreePages::new(),
            side: RankedLock::new(Side::new()),
            reserve_is_low: AtomicBool::new(false),
            reserve_is_filling: AtomicBool::new(false),
            metadata_is_apart: AtomicBool::new(false),
            makes_block: AtomicBool::new(false),
            refused_at: AtomicUsize::new(0),
        }
    }

    /// Whether the reserve has less than the kernel asked for.
    #[inline(always)]
    pub(super) fn reserve_is_low(&self) -> bool {
        self.reserve_is_low.load(Ordering::Relaxed)
    }

    /// Notes whether the reserve has less than the kernel asked for.
    pub(super) fn set_reserve_low(&self, is_low: bool) {
        self.reserve_is_low.store(is_low, Ordering::Relaxed);
    }

    /// Takes the page lock.
    pub(crate) fn hold(&self) -> HeldPool<'_, M, K> {
        HeldPool {
            pages: &self.pages,
            side: self.side.lock(),
        }
    }

    /// Takes the lowest free run that serves `want`. A run that is Ready is charged to objects.
    pub(super) fn find(&self, ledger: &Ledger, want: Want) -> Option<Transit> {
        let mut side = self.side.lock();
        let taken = self
            .pages
            .alloc_aligned(&mut side.pages, want.pages, want.align_pages);
        let unclear = match taken {
            Some(taken) if Self::KNOWS_CLEAR => {
                side.take_clear(taken, |below| self.pages.count_scavenged(below))
            }
            _ => usize::MAX,
        };
        let found = Self::charge_found(ledger, taken)?;
        Some(found.with_unclear(unclear))
    }

    /// The token of pages that were just taken, under the page lock; charged if they are Ready.
    fn charge_found(ledger: &Ledger, taken: Option<Taken>) -> Option<Transit> {
        let transit = Self::in_transit(taken?);
        if transit.is_ready::<M>() {
            let bytes = transit.run().bytes::<M>();
            ledger.transfer(Purpose::Free, Purpose::Objects, bytes);
        }
        Some(transit)
    }

    const fn in_transit(taken: Taken) -> Transit {
        // SAFETY: the page layer took the pages just now, under the page lock:
        // 1. they were free, so no token or record names them;
        // 2. their scavenged bits are as they were while the pages were free.
        unsafe { Transit::assume(taken.run, taken.scavenged) }
    }

    /// Takes the lowest run that is long enough if all of it is Ready and `is_covered`; else, if
    /// the request is atomic, a run of the reserve that is. Charges it to objects.
    pub(super) fn take_ready(
        &self,
        ledger: &Ledger,
        want: Want,
        is_atomic: bool,
        is_covered: impl Fn(PageRun) -> bool,
    ) -> Option<ReadyRun> {
        let mut side = self.side.lock();
        let side = &mut *side;
        let bytes = want.pages << M::GEOMETRY.page_shift;
        let lowest = self.pages.lowest_run(&side.pages, want.pages);
        let fits = lowest.filter(|lowest| {
            lowest.scavenged == 0 && want.starts_at(lowest.run.first) && is_covered(lowest.run)
        });
        if let Some(taken) = fits.and_then(|lowest| self.pages.take(&mut side.pages, lowest.run)) {
            ledger.transfer(Purpose::Free, Purpose::Objects, bytes);
            side.forget_clear(taken.run);
            // SAFETY: 1. the pages were free and Ready, were taken just now and are charged;
            // 2. nothing named them while they were free.
            return Some(unsafe { ReadyRun::assume(taken.run) });
        }
        if !is_atomic {
            return None;
        }
        let run = PageRun::new(side.reserve.take(want)?, want.pages);
        if !is_covered(run) {
            side.reserve.put_back(run);
            return None;
        }
        ledger.transfer(Purpose::Reserve, Purpose::Objects, bytes);
        self.set_reserve_low(true);
        // SAFETY: 1. pages of the reserve are Ready and taken, and are charged to objects now;
        // 2. the reserve, which recorded them, does so no more.
        Some(unsafe { ReadyRun::assume(run) })
    }

    /// Takes the `more` pages that follow `run`. A run that is Ready is charged to objects.
    pub(super) fn extend(&self, ledger: &Ledger, run: PageRun, more: usize) -> Option<Transit> {
        let mut side = self.side.lock();
        let taken = self.pages.extend(&mut side.pages, run, more);
        if let Some(taken) = taken {
            side.forget_clear(taken.run);
        }
        Self::charge_found(ledger, taken)
    }

    /// Takes the free pages above a run in transit that lack memory, too, up to `most`.
    pub(super) fn take_above(&self, transit: Transit, most: usize) -> Transit {
        let mut side = self.side.lock();
        let count = self
            .pages
            .take_scavenged(&mut side.pages, transit.run().end(), most);
        // SAFETY: the page layer took the pages just now, under the page lock:
        // 1. they were free, so no token or record names them;
        // 2. all of them are scavenged.
        unsafe { transit.with_above(count) }
    }

    /// Hands out the first `pages` pages of a run in transit whose memory was committed and charged
    /// to objects, and frees the others, which stay Ready. All but the first `unclear` pages are
    /// zero.
    pub(super) fn finish_ahead(
        &self,
        ledger: &Ledger,
        transit: Transit,
        pages: usize,
        unclear: usize,
    ) -> ReadyRun {
        let all = transit.record();
        let run = PageRun::new(all.first, pages);
        let above = PageRun::between(run.end(), all.end());
        ledger.transfer(Purpose::Objects, Purpose::Free, above.bytes::<M>());
        let mut side = self.side.lock();
        self.made_ready(&mut side, all);
        self.free_taken(&mut side, above);
        side.note_clear(PageRun::between(
            above.first.max(all.first.plus(unclear)),
            above.end(),
        ));
        // SAFETY: 1. the caller committed and charged every page that lacked memory, and the others
        // were Ready and are charged too;
        // 2. the token in transit, the only one, is used up here, and those of the other pages.
        unsafe { ReadyRun::assume(run) }.with_unclear(unclear)
    }

    /// Takes the highest run of free pages below `below` that are Ready, at most `most`. They stay
    /// charged as free.
    pub(super) fn take_victim(&self, below: PageIdx, most: usize) -> Option<Victim> {
        let mut side = self.side.lock();
        let run = self.pages.highest_ready(&mut side.pages, below, most)?;
        let taken = self.pages.take(&mut side.pages, run);
        expect_invariant::<K, _, _>(taken.ok_or(()), "free pages that are ready are free");
        side.forget_clear(run);
        Some(Victim { run })
    }

    /// Takes the highest free page, and charges it to objects if it is Ready.
    pub(super) fn find_highest(&self, ledger: &Ledger) -> Option<Transit> {
        let mut side = self.side.lock();
        let page = self.pages.highest_free(&side.pages)?;
        let run = PageRun::new(page, 1);
        let taken = self.pages.take(&mut side.pages, run);
        side.forget_clear(run);
        Self::charge_found(ledger, taken)
    }

    /// Frees pages that were to lose their memory, which they kept.
    pub(super) fn spare(&self, victim: Victim) {
        self.free_taken(&mut self.side.lock(), victim.run);
    }

    /// Frees pages that have lost their memory.
    pub(super) fn free_scavenged(&self, victim: Victim, prepared: Prepared) {
        prepared.record();
        let mut side = self.side.lock();
        let marked = self.pages.set_scavenged(&mut side.pages, victim.run);
        expect_invariant::<K, _, _>(marked, "a run in transit is taken");
        self.free_taken(&mut side, victim.run);
    }

    /// The parts of `part`, a part of a run in transit, that lack memory, lowest first.
    // No lock: the bits of these pages change by the hands of the token's holder alone.
    #[inline]
    pub(super) fn scavenged_runs(
        &self,
        transit: &Transit,
        part: PageRun,
    ) -> impl Iterator<Item = PageRun> + '_ {
        self.pages.scavenged_runs(part, transit.lacks_all())
    }

    /// How many pages of a run in transit lack memory.
    pub(super) fn count_scavenged(&self, run: PageRun) -> usize {
        self.pages.count_scavenged(run)
    }

    /// Notes that `part` of a run in transit is Ready although it was to lose its memory again.
    pub(super) fn keep_ready(&self, part: PageRun) {
        self.made_ready(&mut self.side.lock(), part);
    }

    fn made_ready(&self, side: &mut Side, run: PageRun) {
        let made = self.pages.made_ready(&mut side.pages, run);
        expect_invariant::<K, _, _>(made, "a run in transit is taken");
    }

    /// Hands out a run in transit whose memory was committed and charged to objects, of which all
    /// but the first `unclear` pages are zero.
    pub(super) fn finish_commit(&self, transit: Transit, unclear: usize) -> ReadyRun {
        let run = transit.record();
        self.made_ready(&mut self.side.lock(), run);
        // SAFETY: 1. the caller committed and charged every page that lacked memory, and the others
        // were Ready and are charged too;
        // 2. the token in transit, the only one, is used up here.
        unsafe { ReadyRun::assume(run) }.with_unclear(unclear)
    }

    /// A run that was found Ready; the run in transit if some of it lacks memory.
    pub(super) fn if_ready(transit: Transit) -> Result<ReadyRun, Transit> {
        if !transit.is_ready::<M>() {
            return Err(transit);
        }
        let unclear = transit.unclear();
        // SAFETY: 1. the run is Ready, and was charged when it was found for that reason;
        // 2. the token in transit, the only one, is used up here.
        Ok(unsafe { ReadyRun::assume(transit.record()) }.with_unclear(unclear))
    }

    /// Frees a run in transit, with its scavenged bits and its charge as they are.
    pub(super) fn free_in_transit(&self, transit: Transit) {
        self.free_taken(&mut self.side.lock(), transit.record());
    }

    /// Frees a run, which stays Ready.
    pub(super) fn free(&self, ledger: &Ledger, run: ReadyRun) {
        let run = run.record();
        ledger.transfer(Purpose::Objects, Purpose::Free, run.bytes::<M>());
        self.free_taken(&mut self.side.lock(), run);
    }

    /// Frees pages that are taken and in no token or record, with their scavenged bits as they are.
    pub(super) fn free_taken(&self, side: &mut Side, run: PageRun) {
        let freed = self.pages.free(&mut side.pages, run);
        expect_invariant::<K, _, _>(freed, "the pages of a run are taken");
    }
}

/// Growth.
impl<M: Machine, K: Kernel> PagePool<M, K> {
    /// Makes the tables that publishing `piece` needs.
    ///
    /// # Errors
    /// Why there is no memory. What was made stays, empty and charged, for the next attempt.
    pub(super) fn ensure(&self, piece: PageRun, source: &mut impl Source) -> Result<(), Cause> {
        self.pages.ensure(piece, source)
    }

    /// Moves the owned ranges to a larger array; returns the outgrown one.
    pub(super) fn adopt_ranges(&self, memory: Zeroed<Slot>) -> Option<Outgrown> {
        self.side.lock().pages.owned_mut().adopt(memory)
    }

    /// Publishes the piece of `plan` as owned pages with the run of it allocated: `tail`, pages
    /// that were free before, and `head`, the first pages of the piece, which are charged to
    /// objects. The rest of the piece is Prepared. Cannot fail: the tables of the piece are
    /// ensured.
    pub(super) fn publish(
        &self,
        plan: Plan,
        tail: Option<Transit>,
        head: Ready,
        rest: Option<Prepared>,
    ) -> ReadyRun {
        head.record();
        if let Some(rest) = rest {
            rest.record();
        }
        if let Some(tail) = tail {
            tail.record();
        }
        let mut side = self.side.lock();
        let grown = self.pages.grow(&mut side.pages, plan.piece);
        expect_invariant::<K, _, _>(grown, "a piece is ensured and not owned");
        let taken = self.pages.take(&mut side.pages, plan.head());
        expect_invariant::<K, _, _>(taken.ok_or(()), "pages that were just published are free");
        self.made_ready(&mut side, plan.run);
        // SAFETY: 1. the head is Ready and charged, and so is the tail, which the caller committed;
        // both are taken;
        // 2. their tokens are used up here.
        unsafe { ReadyRun::assume(plan.run) }
    }
}

impl<M: Machine, K: Kernel> HeldPool<'_, M, K> {
    /// How many pages directly below `end` are free, counted up to `most`.
    pub(super) fn free_below(&self, end: PageIdx, most: usize) -> usize {
        self.pages.free_below(&self.side.pages, end, most)
    }

    /// Takes exactly `run`, pages that were counted as free since the pool is held.
    pub(super) fn take(&mut self, run: PageRun) -> Transit {
        let taken = self.pages.take(&mut self.side.pages, run);
        self.side.forget_clear(run);
        let taken = expect_invariant::<K, _, _>(taken.ok_or(()), "pages counted as free are free");
        PagePool::<M, K>::in_transit(taken)
    }
}
