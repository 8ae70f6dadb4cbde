//! Verification: every invariant of the heap, checked from scratch.
//!
//! Nothing here trusts a counter that it can recount. The first broken rule is named, with the
//! address at which it is broken if there is one.

use archipelago_api::{Kernel, Machine, VirtRange};

use super::rules::{Violation, rule, rule_at};
use crate::arena::SpanHandle;
use crate::base::{PageIdx, PageRun};
use crate::heap::Heap;
use crate::pageheap::{Gated, HeldPool, Online};
use crate::region::{Purpose, Windows};
use crate::span::{Kind, Lists, Record};

/// The counts of a walk over all owned pages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walked {
    /// Pages in spans.
    pub(super) span_pages: usize,
    /// Pages in runs of the kernel.
    pub(super) run_pages: usize,
    /// Pages in the reserve.
    pub(super) reserve_pages: usize,
    /// Free pages.
    pub(super) free_pages: usize,
    /// Free pages without memory.
    pub(super) scavenged_pages: usize,
    /// Small spans that have free slots.
    pub(super) partial_spans: usize,
    /// Records in use.
    pub(super) records: usize,
    /// Live slots.
    pub(super) live_slots: usize,
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Checks every invariant. In a quiet moment a heap that nobody has damaged passes.
    ///
    /// # Errors
    /// The first rule found broken. A heap that is being grown cannot be checked and says so.
    /// # Locks
    /// The growth gate, central and page, for as long as it takes.
    /// # Cost
    /// Linear in the pages that the heap owns.
    pub fn verify(&self) -> Result<(), Violation> {
        let Some(online) = self.pages.online() else {
            return rule(
                self.pages.ledger().mapped_ready() == 0,
                "a heap without machine owns nothing",
            );
        };
        let Ok(gated) = self.pages.enter() else {
            return rule(false, "a heap is verified in a quiet moment");
        };
        let lists = self.central.lock();
        let idle = self.pages.bitmap().idle_bytes();
        let pool = self.pages.pool().hold();
        let (lists, pool, windows) = (&*lists, &pool, &gated.windows);
        let (pages, state) = pool.pages();
        pages.verify(state).map_err(named)?;
        let walked = self.walk(online, windows, pool)?;
        self.verify_totals(pool, lists, walked)?;
        self.verify_lists(online, lists, walked)?;
        self.verify_pool(online, lists)?;
        self.verify_bits(online, windows, pool, idle)?;
        self.verify_address_space(&gated, pool, idle)
    }

    /// Walks all owned pages: each is free, in the reserve, or in a span that knows it.
    fn walk(
        &self,
        online: &Online<M>,
        windows: &Windows,
        pool: &HeldPool<'_, M, K>,
    ) -> Result<Walked, Violation> {
        let mut walked = Walked::default();
        for range in pool.owned().iter() {
            let mut at = range.first;
            while at < range.end() {
                let step = match self.pages.index().span_at(at) {
                    Some(handle) => {
                        let offset = online.records().offset(handle);
                        let known = windows.is_metadata(PageIdx::at::<M>(offset));
                        rule_at::<M>(known, at, "the index names records in metadata memory")?;
                        self.walk_span(online, pool, handle, at, &mut walked)?
                    }
                    None => self.walk_page(pool, at, &mut walked)?,
                };
                at = at.plus(step);
            }
        }
        Ok(walked)
    }

    fn walk_page(
        &self,
        pool: &HeldPool<'_, M, K>,
        at: PageIdx,
        walked: &mut Walked,
    ) -> Result<usize, Violation> {
        let (pages, state) = pool.pages();
        let is_free = pages.is_free(state, at);
        let in_reserve = pool.reserve().any(|run| run.contains(at));
        let in_cache = pool.cache().holds(at);
        let owners = [is_free, in_reserve, in_cache]
            .iter()
            .filter(|owner| **owner)
            .count();
        // Nothing but the account knows the runs that the kernel took.
        let has_runs = self.pages.ledger().of(Purpose::Runs) > 0;
        let in_run = owners == 0 && has_runs;
        rule_at::<M>(
            owners > 0 || in_run,
            at,
            "a page that is not free belongs to a span or the reserve",
        )?;
        rule_at::<M>(
            owners < 2,
            at,
            "a page is free, in the reserve or in the page cache",
        )?;
        let scavenged = if in_cache {
            pool.cache().is_scavenged(at)
        } else {
            pages.count_scavenged(PageRun::new(at, 1)) == 1
        };
        rule_at::<M>(
            !in_reserve || !scavenged,
            at,
            "the pages of the reserve are ready",
        )?;
        rule_at::<M>(!in_run || !scavenged, at, "the pages of a run are ready")?;
        walked.run_pages += usize::from(in_run);
        walked.reserve_pages += usize::from(in_reserve);
        walked.free_pages += usize::from(!in_reserve && !in_run);
        walked.scavenged_pages += usize::from(scavenged);
        Ok(1)
    }

    fn walk_span(
        &self,
        online: &Online<M>,
        pool: &HeldPool<'_, M, K>,
        handle: SpanHandle,
        at: PageIdx,
        walked: &mut Walked,
    ) -> Result<usize, Violation> {
        let at_rule = |holds, name| rule_at::<M>(holds, at, name);
        let (pages, state) = pool.pages();
        let record = online.records().get(handle).record;
        let run = record.run();
        at_rule(
            record.kind() != Kind::Unused,
            "the index names spans in use",
        )?;
        at_rule(
            run.first == at && run.count > 0,
            "a span begins where the index says",
        )?;
        at_rule(pool.owned().contains_run(run), "a span lies in owned pages")?;
        for index in 0..run.count {
            let page_idx = run.first.plus(index);
            let here = self.pages.index().span_at(page_idx) == Some(handle);
            rule_at::<M>(here, page_idx, "every page of a span names it in the index")?;
            let is_free = pages.is_free(state, page_idx);
            rule_at::<M>(!is_free, page_idx, "the pages of a span are not free")?;
        }
        at_rule(
            pages.count_scavenged(run) == 0,
            "the pages of a span are ready",
        )?;
        let reserved = pool.reserve().any(|other| other.overlaps(run));
        at_rule(!reserved, "the pages of a span are not in the reserve")?;
        walked.span_pages += run.count;
        walked.records += 1;
        if let Kind::Small(class) = record.kind() {
            walked.partial_spans += usize::from(record.free_slots() > 0);
            walked.live_slots += self.verify_slots(online, handle, record, class)?;
        }
        Ok(run.count)
    }

    /// Checks the slots of a small span and counts the live ones.
    fn verify_slots(
        &self,
        online: &Online<M>,
        handle: SpanHandle,
        record: &Record,
        class: u8,
    ) -> Result<usize, Violation> {
        let at_rule = |holds, name| rule_at::<M>(holds, record.run().first, name);
        let Some(class) = Self::TABLE.class(class) else {
            return at_rule(false, "a span's class is in the table").map(|()| 0);
        };
        let slots = Self::TABLE.slots(class);
        at_rule(
            record.run().count == Self::TABLE.pages(class),
            "a span is as long as its class says",
        )?;
        let span = online.records().get(handle);
        let live = span.count_taken(slots);
        at_rule(
            live == span.count_all_taken(),
            "no bit is set beyond the slots of a span",
        )?;
        at_rule(
            live + record.free_slots() == slots,
            "free slots and live slots add up",
        )?;
        at_rule(
            span.fresh_holds(slots),
            "a slot that was never handed out is not live",
        )?;
        Ok(live)
    }

    fn verify_totals(
        &self,
        pool: &HeldPool<'_, M, K>,
        lists: &Lists,
        walked: Walked,
    ) -> Result<(), Violation> {
        let bytes = |pages: usize| pages << M::GEOMETRY.page_shift;
        let of = |purpose: Purpose| self.pages.ledger().of(purpose);
        let sum: usize = Purpose::ALL.iter().copied().map(of).sum();
        rule(
            sum == self.pages.ledger().mapped_ready(),
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
        let kept = pool.reserve().map(|run| run.count).sum::<usize>();
        rule(
            kept == walked.reserve_pages,
            "the runs of the reserve are owned and apart",
        )?;
        rule(
            lists.objects() == walked.live_slots,
            "live small objects are counted",
        )?;
        rule(
            of(Purpose::Spans) == lists.record_bytes(),
            "records are charged as spans",
        )?;
        rule(
            of(Purpose::Runs) == bytes(walked.run_pages),
            "runs of the kernel are charged as such",
        )?;
        rule(
            pool.free_pages() == walked.free_pages,
            "free pages are counted",
        )?;
        rule(
            pool.scavenged_pages() == walked.scavenged_pages,
            "scavenged pages are counted",
        )
    }

    /// Checks that windows, owned pages, unused address space and metadata add up.
    /// `idle` bytes of the heap bitmap wait to be needed or scavenged.
    fn verify_address_space(
        &self,
        gated: &Gated,
        pool: &HeldPool<'_, M, K>,
        idle: usize,
    ) -> Result<(), Violation> {
        let shift = M::GEOMETRY.page_shift;
        let windows = &gated.windows;
        windows.all().verify().map_err(named)?;
        windows.unused().verify().map_err(named)?;
        for owned in pool.owned().iter() {
            rule_at::<M>(
                windows.all().contains_run(owned),
                owned.first,
                "owned pages lie in windows",
            )?;
            let used_twice = windows.unused().iter().any(|unused| unused.overlaps(owned));
            rule_at::<M>(!used_twice, owned.first, "owned pages are not unused")?;
            let room = windows.room();
            rule_at::<M>(
                !room.overlaps(owned),
                owned.first,
                "owned pages are not metadata's",
            )?;
        }
        for unused in windows.unused().iter() {
            let inside = windows.all().contains_run(unused);
            rule_at::<M>(inside, unused.first, "unused address space lies in windows")?;
        }
        let pending_undo = gated.pending_undo.map_or(0, VirtRange::bytes);
        let prepared = self.pages.ledger().prepared();
        let scavenged = pool.scavenged_pages() << shift;
        rule(
            prepared == scavenged + pending_undo,
            "scavenged pages are prepared",
        )?;
        let all = self.pages.ledger().mapped_ready() + prepared + self.pages.ledger().reserved();
        rule(
            all == windows.all().total_pages() << shift,
            "the states of the windows add up",
        )?;
        let unused = self.pages.ledger().of(Purpose::UnusedMetadata);
        rule(
            unused == windows.unused_metadata() + idle,
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
