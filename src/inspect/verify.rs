//! Verification: every invariant of the heap, checked from scratch.
//!
//! Nothing here trusts a counter that it can recount. The first broken rule is named, with the
//! address at which it is broken if there is one.

use archipelago_api::{Kernel, Machine};

use super::check::{Check, Walked};
use super::rules::{Violation, rule, rule_at};
use crate::heap::Heap;
use crate::region::Purpose;
use crate::span::{RecordKind, Records};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Checks every invariant. In a quiet moment a heap that nobody has damaged passes.
    ///
    /// # Errors
    /// The first rule found broken; one of them is that nobody else is in the growth gate. With
    /// interrupts on the call waits for that, and with interrupts masked, or from inside the
    /// machine, it does not.
    /// # Locks
    /// Takes the growth gate, central and page, for as long as it takes, and the bitmap's (with the
    /// feature `heap-bits`) briefly.
    /// # Cost
    /// Linear in the pages that the heap owns, and in the entries of the index that have memory.
    pub fn verify(&self) -> Result<(), Violation> {
        let Some(online) = self.pages.online() else {
            return rule(
                self.pages.ledger().mapped_ready() == 0,
                "a heap without machine owns nothing",
            );
        };
        let Ok(gated) = self.pages.try_enter() else {
            return rule(false, "a heap is verified in a quiet moment");
        };
        let lists = self.central.lock();
        let idle = self.pages.bitmap().idle_bytes();
        let pool = self.pages.pool().hold();
        let check = Check {
            heap: self,
            online,
            bitmap_pages: Check::<M, K>::ready_parts(self.pages.index(), &gated.windows),
            gated: &gated,
            lists: &lists,
            pool: &pool,
        };
        let (pages, state) = pool.pages();
        pages.verify(state).map_err(named)?;
        let walked = check.walk()?;
        check.verify_index()?;
        check.verify_pool()?;
        check.verify_bits(idle)?;
        check.verify_totals(walked)?;
        check.verify_reserve()?;
        check.verify_lists(walked)?;
        check.verify_address_space(idle)
    }
}

impl<M: Machine, K: Kernel> Check<'_, M, K> {
    fn verify_totals(&self, walked: Walked) -> Result<(), Violation> {
        let bytes = |pages: usize| pages << M::GEOMETRY.page_shift;
        let of = |purpose: Purpose| self.heap.pages.ledger().of(purpose);
        let sum: usize = Purpose::ALL.iter().copied().map(of).sum();
        rule(
            sum == self.heap.pages.ledger().mapped_ready(),
            "the purposes add up to what is ready",
        )?;
        let ready_free = walked.free_pages.checked_sub(walked.scavenged_pages);
        let ready_free = ready_free.map(bytes);
        rule(
            Some(of(Purpose::Free)) == ready_free,
            "free pages that are ready are charged as free",
        )?;
        rule(
            of(Purpose::Objects) == bytes(walked.span_pages),
            "pages of spans are charged as objects",
        )?;
        rule(
            of(Purpose::Reserve) == bytes(walked.reserve_pages),
            "the reserve is charged as such",
        )?;
        let kept = self.pool.reserve().map(|run| run.count).sum::<usize>();
        rule(
            kept == walked.reserve_pages,
            "the runs of the reserve are owned and apart",
        )?;
        let counts = self.lists.counts();
        rule(counts.slots == walked.slots, "slots are counted")?;
        rule(
            counts.tail_bytes == walked.tail_bytes,
            "bytes of spans that are in no slot are counted",
        )?;
        rule(
            counts.large_objects == walked.large_objects,
            "large objects are counted",
        )?;
        rule(
            self.heap.pages.ledger().peak_ready() >= self.heap.pages.ledger().mapped_ready(),
            "the peak is no less than what is ready",
        )?;
        rule(
            of(Purpose::Spans) == self.lists.record_bytes() + self.heap.cpus().bytes(),
            "records and blocks of CPUs are charged as spans",
        )?;
        let known = self.lists.record_pages() + self.bitmap_pages;
        let in_runs = walked.other_pages.checked_sub(known);
        rule(
            Some(of(Purpose::Runs)) == in_runs.map(bytes),
            "runs of the kernel are charged as such",
        )?;
        rule(
            self.lists.records_in_use() == walked.records,
            "a record is a span's or in the pool",
        )?;
        rule(
            self.pool.free_pages() == walked.free_pages,
            "free pages are counted",
        )?;
        rule(
            self.pool.scavenged_pages() == walked.scavenged_pages,
            "scavenged pages are counted",
        )
    }

    /// Checks that the reserve holds what was asked for, or is known to hold less.
    fn verify_reserve(&self) -> Result<(), Violation> {
        let kept = self.pool.reserve().map(|run| run.count).sum::<usize>();
        let goal = self.pool.reserve_goal();
        rule(kept <= goal, "the reserve has no more pages than its goal")?;
        let pages = &self.heap.pages;
        let is_known = pages.reserve_is_low() || pages.reserve_is_filling();
        rule(
            kept == goal || is_known,
            "a reserve that lacks pages is known to be low",
        )?;
        let kinds = [RecordKind::Narrow, RecordKind::Wide];
        let lacks = kinds
            .into_iter()
            .filter(|kind| *kind == RecordKind::Narrow || Records::<M>::HAS_WIDE)
            .any(|kind| self.lists.lacks_records(kind));
        rule(
            !lacks || is_known,
            "a reserve that lacks records is known to be low",
        )
    }

    /// Checks that windows, owned pages, unused address space and metadata add up.
    /// `idle` bytes of the heap bitmap wait to be needed or scavenged.
    fn verify_address_space(&self, idle: usize) -> Result<(), Violation> {
        let shift = M::GEOMETRY.page_shift;
        self.gated.windows.all().verify().map_err(named)?;
        self.gated.windows.unused().verify().map_err(named)?;
        for owned in self.pool.owned().iter() {
            rule_at::<M>(
                self.gated.windows.all().contains_run(owned),
                owned.first,
                "owned pages lie in windows",
            )?;
            let used_twice = self
                .gated
                .windows
                .unused()
                .iter()
                .any(|unused| unused.overlaps(owned));
            rule_at::<M>(!used_twice, owned.first, "owned pages are not unused")?;
            let room = self.gated.windows.room();
            rule_at::<M>(
                !room.overlaps(owned),
                owned.first,
                "owned pages are not metadata's",
            )?;
        }
        for unused in self.gated.windows.unused().iter() {
            let inside = self.gated.windows.all().contains_run(unused);
            rule_at::<M>(inside, unused.first, "unused address space lies in windows")?;
        }
        let (mut to_undo, mut ready_to_undo) = (0, 0);
        for undo in self.gated.pending_undo.iter() {
            to_undo += undo.range.bytes() - undo.ready;
            ready_to_undo += undo.ready;
        }
        let prepared = self.heap.pages.ledger().prepared();
        let scavenged = self.pool.scavenged_pages() << shift;
        rule(
            prepared == scavenged + to_undo,
            "scavenged pages are prepared",
        )?;
        let all = self.heap.pages.ledger().mapped_ready()
            + prepared
            + self.heap.pages.ledger().reserved();
        rule(
            all == self.gated.windows.all().total_pages() << shift,
            "the states of the windows add up",
        )?;
        let unused = self.heap.pages.ledger().of(Purpose::UnusedMetadata);
        rule(
            unused == self.gated.windows.unused_metadata() + idle + ready_to_undo,
            "unused metadata is on hand",
        )
    }
}

/// A broken rule without an address.
const fn named(rule: &'static str) -> Violation {
    Violation {
        rule,
        address: None,
    }
}
