//! A check of a heap that is held still: its parts, and a walk over its pages.

use archipelago_api::{Kernel, Machine};

use super::rules::{Violation, rule_at};
use crate::arena::SpanHandle;
use crate::base::{PageIdx, PageRun};
use crate::heap::Heap;
use crate::pageheap::{Gated, HeldPool, Online};
use crate::region::Purpose;
use crate::span::{Kind, Lists, Owner, Place, Record, SpanRef, full_is_counted};

/// A heap whose locks are held, to be checked.
pub(super) struct Check<'a, M: Machine, K: Kernel> {
    /// The heap.
    pub(super) heap: &'a Heap<M, K>,
    /// The machine and the way to records.
    pub(super) online: &'a Online<M>,
    /// The state inside the growth gate.
    pub(super) gated: &'a Gated,
    /// The lists under the central lock.
    pub(super) lists: &'a Lists,
    /// The pages under the page lock.
    pub(super) pool: &'a HeldPool<'a, M, K>,
    /// Pages of the heap bitmap.
    pub(super) bitmap_pages: usize,
}

/// The counts of a walk over all owned pages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walked {
    /// Pages in spans.
    pub(super) span_pages: usize,
    /// Pages in runs of the kernel, and pages of span records and of the heap bitmap.
    pub(super) other_pages: usize,
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
    /// Large objects.
    pub(super) large_objects: usize,
    /// Slots, live or free.
    pub(super) slots: usize,
    /// Bytes of small spans that belong to no slot.
    pub(super) tail_bytes: usize,
}

impl<M: Machine, K: Kernel> Check<'_, M, K> {
    /// Walks all owned pages: each is free, in the reserve, or in a span that knows it.
    pub(super) fn walk(&self) -> Result<Walked, Violation> {
        let mut walked = Walked::default();
        for range in self.pool.owned().iter() {
            let mut at = range.first;
            while at < range.end() {
                let step = match self.heap.pages.index().span_at(at) {
                    Some(handle) => {
                        let offset = self.online.records().offset(handle);
                        let known = self.gated.windows.is_metadata(PageIdx::at::<M>(offset));
                        rule_at::<M>(known, at, "the index names records in metadata memory")?;
                        self.walk_span(handle, at, &mut walked)?
                    }
                    None => self.walk_page(at, &mut walked)?,
                };
                at = at.plus(step);
            }
        }
        Ok(walked)
    }

    /// Checks that the index names no span outside of the pages that the heap owns.
    pub(super) fn verify_index(&self) -> Result<(), Violation> {
        let mut named = self.heap.pages.index().named_pages();
        match named.find(|page| !self.pool.owned().contains(*page)) {
            Some(page) => rule_at::<M>(false, page, "the index names spans in owned pages alone"),
            None => Ok(()),
        }
    }

    fn walk_page(&self, at: PageIdx, walked: &mut Walked) -> Result<usize, Violation> {
        let (pages, state) = self.pool.pages();
        let is_free = pages.is_free(state, at);
        let in_reserve = self.pool.reserve().any(|run| run.contains(at));
        let has_owner = is_free || in_reserve;
        // Nothing but the account knows the runs that the kernel took, the pages of records, and
        // those of the heap bitmap.
        let has_runs = self.heap.pages.ledger().of(Purpose::Runs) > 0;
        let has_bits = self.bitmap_pages > 0 || self.heap.pages.ledger().of(Purpose::HeapBits) > 0;
        let has_pages = has_runs || has_bits || self.lists.record_pages() > 0;
        let in_run = !has_owner && has_pages;
        rule_at::<M>(
            has_owner || in_run,
            at,
            "a page that is not free belongs to a span or the reserve",
        )?;
        rule_at::<M>(
            !is_free || !in_reserve,
            at,
            "a page is free or in the reserve",
        )?;
        let scavenged = pages.count_scavenged(PageRun::new(at, 1)) == 1;
        rule_at::<M>(
            !in_reserve || !scavenged,
            at,
            "the pages of the reserve are ready",
        )?;
        rule_at::<M>(
            !in_run || !scavenged,
            at,
            "the pages of records and of the kernel's runs are ready",
        )?;
        walked.other_pages += usize::from(in_run);
        walked.reserve_pages += usize::from(in_reserve);
        walked.free_pages += usize::from(!in_reserve && !in_run);
        walked.scavenged_pages += usize::from(scavenged);
        Ok(1)
    }

    fn walk_span(
        &self,
        handle: SpanHandle,
        at: PageIdx,
        walked: &mut Walked,
    ) -> Result<usize, Violation> {
        let at_rule = |holds, name| rule_at::<M>(holds, at, name);
        let (pages, state) = self.pool.pages();
        let record = self.online.records().get(handle).record;
        let run = record.run::<M>();
        at_rule(
            record.kind() != Kind::Unused,
            "the index names spans in use",
        )?;
        at_rule(
            run.first == at && run.count > 0,
            "a span begins where the index says",
        )?;
        at_rule(
            self.pool.owned().contains_run(run),
            "a span lies in owned pages",
        )?;
        for index in 0..run.count {
            let page_idx = run.first.plus(index);
            let here = self.heap.pages.index().span_at(page_idx) == Some(handle);
            rule_at::<M>(here, page_idx, "every page of a span names it in the index")?;
            let is_free = pages.is_free(state, page_idx);
            rule_at::<M>(!is_free, page_idx, "the pages of a span are not free")?;
        }
        let beyond = self.heap.pages.index().span_at(run.end());
        at_rule(
            beyond != Some(handle),
            "a span is as long as its class says",
        )?;
        at_rule(
            pages.count_scavenged(run) == 0,
            "the pages of a span are ready",
        )?;
        let reserved = self.pool.reserve().any(|other| other.overlaps(run));
        at_rule(!reserved, "the pages of a span are not in the reserve")?;
        walked.span_pages += run.count;
        walked.records += 1;
        if let Kind::Small(class) = record.kind() {
            let is_central = record.tag().owner().is_none();
            walked.partial_spans += usize::from(is_central && record.free_slots() > 0);
            self.verify_slots(handle, record, class)?;
            if let Some(class) = Heap::<M, K>::TABLE.class(class) {
                walked.slots += Heap::<M, K>::TABLE.slots(class);
                walked.tail_bytes += Heap::<M, K>::TABLE.tail_bytes(class);
            }
        } else {
            walked.large_objects += 1;
        }
        Ok(run.count)
    }

    /// Checks the slots of a small span.
    fn verify_slots(
        &self,
        handle: SpanHandle,
        record: &Record,
        class: u8,
    ) -> Result<(), Violation> {
        let at_rule = |holds, name| rule_at::<M>(holds, record.run::<M>().first, name);
        let Some(class) = Heap::<M, K>::TABLE.class(class) else {
            return at_rule(false, "a span's class is in the table");
        };
        let slots = Heap::<M, K>::TABLE.slots(class);
        let span = self.online.records().get(handle);
        if record.tag().owner().is_some() {
            return self.verify_owned(span, slots);
        }
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
        )
    }

    /// Checks a small span that a CPU owns.
    fn verify_owned(&self, span: SpanRef<'_>, slots: usize) -> Result<(), Violation> {
        let at_rule = |holds, name| rule_at::<M>(holds, span.record.first::<M>(), name);
        let tag = span.record.tag();
        let owner = tag.owner().map_or(usize::MAX, Owner::number);
        at_rule(owner < usize::from(K::CPUS), "a span's owner is a CPU")?;
        let class = Place::of_tag(tag).class(Heap::<M, K>::TABLE);
        let is_class = class.is_some_and(|class| Kind::Small(class.number()) == span.kind());
        at_rule(is_class, "a span's place is that of its class")?;
        at_rule(
            full_is_counted(span, slots),
            "a full span of a CPU has as many live slots as its credit says",
        )?;
        // The counts are those of whole words.
        let mut in_last_word = slots..slots.next_multiple_of(usize::BITS as usize);
        let is_inside = in_last_word.all(|slot| !span.is_taken(slot));
        let counted = span.count_taken(slots) + span.count_freed_by_others(slots);
        at_rule(
            is_inside && span.count_all_taken() == counted,
            "no bit is set beyond the slots of a span",
        )
    }
}
