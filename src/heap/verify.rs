//! Verification: every invariant of the heap, checked from scratch.
//!
//! Nothing here trusts a counter that it can recount. The first rule that is broken is named, with
//! the address it is broken at where there is one.

use core::fmt;

use archipelago_api::{Kernel, Machine, VirtAddr, VirtRange};

use super::growth::Growth;
use super::{Heap, Opened, PageSide};
use crate::arena::SpanHandle;
use crate::base::{PageIdx, PageRun};
use crate::region::Purpose;
use crate::span::{Central, Kind, Record, SPAN_CLASSES};

/// A rule of the heap that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule, as a sentence that should hold.
    pub rule: &'static str,
    /// Where it does not.
    pub address: Option<VirtAddr>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "broken at {address}: {}", self.rule),
            None => write!(f, "broken: {}", self.rule),
        }
    }
}

impl core::error::Error for Violation {}

/// What a walk over all owned pages counted.
#[derive(Clone, Copy, Debug, Default)]
struct Walked {
    span_pages: usize,
    reserve_pages: usize,
    free_pages: usize,
    scavenged_pages: usize,
    /// Small spans that have free slots.
    partial_spans: usize,
    records: usize,
    live_slots: usize,
}

pub(super) fn rule(holds: bool, rule: &'static str) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation {
            rule,
            address: None,
        })
    }
}

pub(super) fn rule_at<M: Machine>(
    holds: bool,
    page: PageIdx,
    rule: &'static str,
) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation {
            rule,
            address: Some(page.address::<M>()),
        })
    }
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
        let Some(opened) = self.opened.get() else {
            return rule(
                self.ledger.mapped_ready() == 0,
                "a heap without machine owns nothing",
            );
        };
        let Ok(pass) = self.gate.enter::<K>() else {
            return rule(false, "a heap is verified in a quiet moment");
        };
        let central = self.central.lock();
        let page = self.page.lock();
        let (central, page) = (&*central, &*page);
        self.pages.verify(&page.pages).map_err(|rule| Violation {
            rule,
            address: None,
        })?;
        let walked = self.walk(opened, &pass, page)?;
        self.verify_totals(page, central, walked)?;
        self.verify_lists(opened, central, walked)?;
        self.verify_pool(opened, central)?;
        let idle = self.verify_bits(opened, &pass, central, page)?;
        self.verify_address_space(&pass, page, idle)
    }

    /// Walks all owned pages: each is free, in the reserve, or in a span that knows it.
    fn walk(
        &self,
        opened: &Opened<M>,
        growth: &Growth,
        page: &PageSide,
    ) -> Result<Walked, Violation> {
        let mut walked = Walked::default();
        for range in page.pages.owned().iter() {
            let mut at = range.first;
            while at < range.end() {
                let step = match self.index.span_at(at) {
                    Some(handle) => {
                        let offset = opened.records().offset(handle);
                        let known = growth.is_metadata(PageIdx::at::<M>(offset));
                        rule_at::<M>(known, at, "the index names records in metadata memory")?;
                        self.walk_span(opened, page, handle, at, &mut walked)?
                    }
                    None => self.walk_page(page, at, &mut walked)?,
                };
                at = at.plus(step);
            }
        }
        Ok(walked)
    }

    fn walk_page(
        &self,
        page: &PageSide,
        at: PageIdx,
        walked: &mut Walked,
    ) -> Result<usize, Violation> {
        let is_free = self.pages.is_free(&page.pages, at);
        let in_reserve = page.reserve.runs().any(|run| run.contains(at));
        let in_cache = page.cache.holds(at);
        let owners = [is_free, in_reserve, in_cache]
            .iter()
            .filter(|owner| **owner)
            .count();
        rule_at::<M>(
            owners > 0,
            at,
            "a page that is not free belongs to a span or the reserve",
        )?;
        rule_at::<M>(
            owners < 2,
            at,
            "a page is free, in the reserve or in the page cache",
        )?;
        let scavenged = if in_cache {
            page.cache.is_scavenged(at)
        } else {
            self.pages.count_scavenged(PageRun::new(at, 1)) == 1
        };
        rule_at::<M>(
            !in_reserve || !scavenged,
            at,
            "the pages of the reserve are ready",
        )?;
        walked.reserve_pages += usize::from(in_reserve);
        walked.free_pages += usize::from(!in_reserve);
        walked.scavenged_pages += usize::from(scavenged);
        Ok(1)
    }

    fn walk_span(
        &self,
        opened: &Opened<M>,
        page: &PageSide,
        handle: SpanHandle,
        at: PageIdx,
        walked: &mut Walked,
    ) -> Result<usize, Violation> {
        let at_rule = |holds, name| rule_at::<M>(holds, at, name);
        let record = opened.records().get(handle).record;
        let run = record.run();
        at_rule(
            record.kind() != Kind::Unused,
            "the index names spans in use",
        )?;
        at_rule(
            run.first == at && run.count > 0,
            "a span begins where the index says",
        )?;
        at_rule(
            page.pages.owned().contains_run(run),
            "a span lies in owned pages",
        )?;
        for index in 0..run.count {
            let page_idx = run.first.plus(index);
            let here = self.index.span_at(page_idx) == Some(handle);
            rule_at::<M>(here, page_idx, "every page of a span names it in the index")?;
            let is_free = self.pages.is_free(&page.pages, page_idx);
            rule_at::<M>(!is_free, page_idx, "the pages of a span are not free")?;
        }
        at_rule(
            self.pages.count_scavenged(run) == 0,
            "the pages of a span are ready",
        )?;
        let reserved = page.reserve.runs().any(|other| other.overlaps(run));
        at_rule(!reserved, "the pages of a span are not in the reserve")?;
        walked.span_pages += run.count;
        walked.records += 1;
        if let Kind::Small(class) = record.kind() {
            walked.partial_spans += usize::from(record.free_slots() > 0);
            walked.live_slots += self.verify_slots(opened, handle, record, class)?;
        }
        Ok(run.count)
    }

    /// Checks the slots of a small span and counts the live ones.
    fn verify_slots(
        &self,
        opened: &Opened<M>,
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
        let span = opened.records().get(handle);
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
        page: &PageSide,
        central: &Central,
        walked: Walked,
    ) -> Result<(), Violation> {
        let bytes = |pages: usize| pages << M::GEOMETRY.page_shift;
        let of = |purpose| self.ledger.of(purpose);
        let sum: usize = Purpose::ALL.iter().map(|purpose| of(*purpose)).sum();
        rule(
            sum == self.ledger.mapped_ready(),
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
        let kept = page.reserve.runs().map(|run| run.count).sum::<usize>();
        rule(
            kept == walked.reserve_pages,
            "the runs of the reserve are owned and apart",
        )?;
        rule(
            central.objects() == walked.live_slots,
            "live small objects are counted",
        )?;
        rule(
            of(Purpose::Spans) == central.record_bytes(),
            "records are charged as spans",
        )?;
        let free = page.pages.free_pages() + page.cache.pages();
        rule(free == walked.free_pages, "free pages are counted")?;
        let scavenged = page.pages.scavenged_pages() + page.cache.scavenged_pages();
        rule(
            scavenged == walked.scavenged_pages,
            "scavenged pages are counted",
        )
    }

    /// Checks that every small span with free slots is on the list it belongs on, and no other.
    fn verify_lists(
        &self,
        opened: &Opened<M>,
        central: &Central,
        walked: Walked,
    ) -> Result<(), Violation> {
        let (mut listed, mut empty) = (0, 0);
        for class in 0..SPAN_CLASSES {
            let mut broken = None;
            let most = walked.partial_spans;
            central.for_each(opened.records(), class, most, |handle, is_linked| {
                let record = opened.records().get(handle).record;
                let first = record.run().first;
                let at_rule = |holds, name| rule_at::<M>(holds, first, name);
                let is_class = Self::list_of(opened, handle) == Some(class);
                let is_empty = self.is_without_live_slots(record);
                listed += 1;
                empty += usize::from(is_empty);
                let answer = at_rule(is_class, "a list holds spans of its class")
                    .and(at_rule(
                        record.free_slots() > 0,
                        "a span is on the partial list while it has free slots",
                    ))
                    .and(at_rule(
                        is_linked,
                        "a span's neighbours on its list know it",
                    ))
                    .and(at_rule(
                        self.index.span_at(first) == Some(handle),
                        "a span on a list is in the index",
                    ))
                    .and(at_rule(
                        is_empty || !central.is_kept(handle),
                        "a span that is kept has no live slot",
                    ))
                    .and(at_rule(
                        !is_empty || central.is_kept(handle),
                        "a span without live slots is kept",
                    ));
                broken = broken.or(answer.err());
                broken.is_none()
            });
            if let Some(violation) = broken {
                return Err(violation);
            }
        }
        rule(
            listed == walked.partial_spans,
            "every span with free slots is on one list",
        )?;
        rule(
            empty == central.count_kept(),
            "spans that are kept are on lists",
        )
    }

    fn is_without_live_slots(&self, record: &Record) -> bool {
        let Kind::Small(class) = record.kind() else {
            return false;
        };
        let slots = Self::TABLE
            .class(class)
            .map(|class| Self::TABLE.slots(class));
        slots == Some(record.free_slots())
    }

    /// The number of the lists that a small span belongs on, that of its span class.
    fn list_of(opened: &Opened<M>, handle: SpanHandle) -> Option<usize> {
        let span = opened.records().get(handle);
        match span.kind() {
            Kind::Small(own) => Self::TABLE
                .class(own)
                .map(|class| span.span_class(class).number()),
            Kind::Unused | Kind::Large => None,
        }
    }

    fn verify_pool(&self, opened: &Opened<M>, central: &Central) -> Result<(), Violation> {
        let (unused, counted) = central.pool_is_sound(opened.records());
        rule(unused, "records in the pool describe nothing")?;
        rule(counted, "records in the pool are counted")
    }

    /// Checks that windows, owned pages, unused address space and metadata add up.
    /// `idle` bytes of the heap bitmap wait to be needed or scavenged.
    fn verify_address_space(
        &self,
        growth: &Growth,
        page: &PageSide,
        idle: usize,
    ) -> Result<(), Violation> {
        let shift = M::GEOMETRY.page_shift;
        let named = |rule| Violation {
            rule,
            address: None,
        };
        growth.windows.verify().map_err(named)?;
        growth.unused.verify().map_err(named)?;
        for owned in page.pages.owned().iter() {
            rule_at::<M>(
                growth.windows.contains_run(owned),
                owned.first,
                "owned pages lie in windows",
            )?;
            let used_twice = growth.unused.iter().any(|unused| unused.overlaps(owned));
            rule_at::<M>(!used_twice, owned.first, "owned pages are not unused")?;
            let room = growth.metadata.room();
            rule_at::<M>(
                !room.overlaps(owned),
                owned.first,
                "owned pages are not metadata's",
            )?;
        }
        for unused in growth.unused.iter() {
            let inside = growth.windows.contains_run(unused);
            rule_at::<M>(inside, unused.first, "unused address space lies in windows")?;
        }
        let unsettled = growth.unsettled.map_or(0, VirtRange::bytes);
        let prepared = self.ledger.prepared();
        let scavenged = (page.pages.scavenged_pages() + page.cache.scavenged_pages()) << shift;
        rule(
            prepared == scavenged + unsettled,
            "scavenged pages are prepared",
        )?;
        let all = self.ledger.mapped_ready() + prepared + self.ledger.reserved();
        rule(
            all == growth.windows.total_pages() << shift,
            "the states of the windows add up",
        )?;
        let unused = self.ledger.of(Purpose::UnusedMetadata);
        rule(
            unused == growth.metadata.unused() + idle,
            "unused metadata is on hand",
        )
    }
}
