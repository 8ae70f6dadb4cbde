//! Planted corruptions: each breaks one rule in a sound heap, and `verify()` names that rule.

use core::num::NonZeroU32;

use archipelago_api::{Kernel, VirtAddr, VirtRange};
use archipelago_sim::{Hosted, Plain32, Sim};

use super::damaged::{DamagedHeap, PlainHeap, WINDOW};
use crate::arena::SpanHandle;
use crate::base::{PageIdx, PageRun};
use crate::heap::Heap;
use crate::region::{Purpose, Undo};
use crate::span::{Kind, RecordKind};

impl Sound for DamagedHeap {
    type Kernel = Hosted;

    fn make() -> Self {
        Self::new()
    }

    fn heap(&self) -> &PlainHeap {
        &self.heap
    }
}

/// A sound heap that is to be damaged.
pub(super) trait Sound {
    type Kernel: Kernel;

    fn make() -> Self;

    fn heap(&self) -> &Heap<Sim<Plain32>, Self::Kernel>;
}

/// Breaks a rule with `damage` and expects that `verify` names it.
pub(super) fn break_rule<B: Sound>(rule: &str, damage: impl FnOnce(&B)) {
    let bed = B::make();
    damage(&bed);
    let violation = bed.heap().verify().expect_err("the damage is found");
    assert_eq!(violation.rule, rule, "{violation}");
}

/// Makes a test of each damage to a `$bed`, and lists the rules that they break.
macro_rules! planted {
    ($bed:ty; $($name:ident: $rule:literal, $damage:expr;)*) => {
        $(#[test]
        fn $name() {
            $crate::inspect::planted::break_rule::<$bed>($rule, $damage);
        })*

        /// The rules that are broken.
        const RULES: &[&str] = &[$($rule),*];
    };
}
pub(super) use planted;

fn run(first: PageIdx, count: usize) -> PageRun {
    PageRun::new(first, count)
}

planted! {
    DamagedHeap;
    a_purpose_gains: "the purposes add up to what is ready", |bed| {
        bed.heap.pages.ledger().plant(Purpose::Ranges, 64);
    };
    free_pages_are_charged_to_objects: "free pages that are ready are charged as free", |bed| {
        bed.heap.pages.ledger().transfer(Purpose::Free, Purpose::Objects, 4096);
    };
    objects_are_charged_to_ranges: "pages of spans are charged as objects", |bed| {
        bed.heap.pages.ledger().transfer(Purpose::Objects, Purpose::Ranges, 4096);
    };
    the_reserve_gains: "the reserve is charged as such", |bed| {
        bed.heap.pages.ledger().transfer(Purpose::ArenaMetadata, Purpose::Reserve, 4096);
    };
    runs_gain: "runs of the kernel are charged as such", |bed| {
        bed.heap.pages.ledger().transfer(Purpose::ArenaMetadata, Purpose::Runs, 4096);
    };
    spans_gain: "records and blocks of CPUs are charged as spans", |bed| {
        bed.heap.pages.ledger().transfer(Purpose::Ranges, Purpose::Spans, 64);
    };
    unused_metadata_gains: "unused metadata is on hand", |bed| {
        bed.heap.pages.ledger().transfer(Purpose::Ranges, Purpose::UnusedMetadata, 64);
    };
    an_undo_stays_pending: "scavenged pages are prepared", |bed| {
        let range = VirtRange::new(VirtAddr::new(WINDOW), 4096).expect("does not wrap");
        let undo = Undo { range, ready: 0 };
        bed.heap.pages.enter().expect("quiet").pending_undo.add(undo);
    };
    a_page_of_a_span_is_freed: "the pages of a span are not free", |bed| {
        let (first, _) = bed.large();
        let mut pool = bed.heap.pages.pool().hold();
        let (pages, state, _) = pool.plant();
        pages.free(state, run(first, 1)).expect("was taken");
    };
    a_page_of_a_span_is_scavenged: "the pages of a span are ready", |bed| {
        let (first, _) = bed.large();
        let mut pool = bed.heap.pages.pool().hold();
        let (pages, state, _) = pool.plant();
        pages.set_scavenged(state, run(first, 1)).expect("was taken");
    };
    an_inner_page_leaves_the_index: "every page of a span names it in the index", |bed| {
        let (first, _) = bed.large();
        bed.heap.pages.index().set(run(first.plus(1), 1), None);
    };
    a_first_page_leaves_the_index: "a page that is not free belongs to a span or the reserve", |bed| {
        let (first, _) = bed.partial();
        bed.heap.pages.index().set(run(first, 1), None);
    };
    a_free_page_enters_the_index: "a span begins where the index says", |bed| {
        bed.heap.pages.index().set(run(bed.free_page(), 1), Some(bed.large().1));
    };
    a_wild_handle_enters_the_index: "the index names records in metadata memory", |bed| {
        let wild = NonZeroU32::new(0x4000_0000).map(SpanHandle);
        bed.heap.pages.index().set(run(bed.free_page(), 1), wild);
    };
    a_live_record_is_cleared: "the index names spans in use", |bed| {
        let (first, handle) = bed.large();
        bed.record(handle).describe::<Sim<Plain32>>(Kind::Unused, run(first, 1), 0, false);
    };
    a_span_leaves_the_heap: "a span lies in owned pages", |bed| {
        bed.record(bed.large().1).set_pages(1 << 24);
    };
    a_class_is_wild: "a span's class is in the table", |bed| {
        let (first, handle) = bed.partial();
        bed.record(handle).describe::<Sim<Plain32>>(Kind::Small(250), run(first, 1), 1, false);
    };
    a_span_has_another_class: "a span is as long as its class says", |bed| {
        let (first, handle) = bed.large();
        // A class whose spans have one page.
        bed.record(handle).describe::<Sim<Plain32>>(Kind::Small(7), run(first, 1), 0, false);
    };
    free_slots_are_miscounted: "free slots and live slots add up", |bed| {
        let (_, handle) = bed.partial();
        bed.record(handle).plant_free_slots(1);
    };
    a_bit_is_set_beyond_the_slots: "no bit is set beyond the slots of a span", |bed| {
        bed.record(bed.full().1).plant_bit(255);
    };
    a_fresh_slot_is_live: "a slot that was never handed out is not live", |bed| {
        bed.record(bed.partial().1).plant_fresh_slot(0);
    };
    slots_are_miscounted: "slots are counted", |bed| {
        bed.heap.central.lock().plant_counts().slots += 1;
    };
    tails_are_miscounted: "bytes of spans that are in no slot are counted", |bed| {
        bed.heap.central.lock().plant_counts().tail_bytes += 8;
    };
    large_objects_are_miscounted: "large objects are counted", |bed| {
        bed.heap.central.lock().plant_counts().large_objects -= 1;
    };
    the_peak_is_too_low: "the peak is no less than what is ready", |bed| {
        bed.heap.pages.ledger().plant_peak(1);
    };
    a_span_falls_off_its_list: "every span with free slots is on one list", |bed| {
        let class = bed.class_of(bed.partial().1);
        bed.heap.central.lock().plant_partial_list(class, 0);
    };
    a_full_span_is_on_the_partial_list: "a span is on the partial list while it has free slots", |bed| {
        let (_, handle) = bed.full();
        let class = bed.class_of(handle);
        bed.heap.central.lock().plant_partial_list(class, handle.0.get());
    };
    a_list_holds_another_class: "a list holds spans of its class", |bed| {
        let (_, handle) = bed.partial();
        let class = bed.class_of(handle);
        let mut central = bed.heap.central.lock();
        central.plant_partial_list(class, 0);
        central.plant_partial_list(class + 1, handle.0.get());
    };
    a_link_back_is_wrong: "a span's neighbours on its list know it", |bed| {
        let second = bed.second_partial();
        bed.record(second).plant_previous(bed.full().1.0.get());
    };
    a_span_in_use_is_kept: "a span that is kept has no live slot", |bed| {
        let (_, handle) = bed.partial();
        bed.heap.central.lock().plant_kept(handle.0.get());
    };
    a_span_without_live_slots_is_not_kept: "a span without live slots is kept", |bed| {
        bed.keep_a_span();
        bed.heap.central.lock().plant_none_kept();
    };
    a_span_on_no_list_is_kept: "spans that are kept are on lists", |bed| {
        let (_, handle) = bed.full();
        bed.heap.central.lock().plant_kept(handle.0.get());
    };
    a_record_in_the_pool_is_in_use: "records in the pool describe nothing", |bed| {
        let online = bed.heap.pages.online().expect("initialised");
        let mut central = bed.heap.central.lock();
        central.plant_pool_kind(online.records());
    };
    a_record_is_lost: "a record is a span's or in the pool", |bed| {
        let online = bed.heap.pages.online().expect("initialised");
        let mut central = bed.heap.central.lock();
        let lost = central.alloc_record(online.records(), RecordKind::Narrow, true);
        assert!(lost.is_some(), "the bed has one");
    };
    the_pool_is_miscounted: "records in the pool are counted", |bed| {
        bed.heap.central.lock().plant_pool_count(1);
    };
    owned_pages_are_unused_too: "owned pages are not unused", |bed| {
        let mut gated = bed.heap.pages.enter().expect("quiet");
        gated.windows.plant().1.add(run(bed.first, 1)).expect("room");
    };
    unused_space_is_outside: "unused address space lies in windows", |bed| {
        let mut gated = bed.heap.pages.enter().expect("quiet");
        gated.windows.plant().1.add(run(bed.first.plus(1 << 30), 1)).expect("room");
    };
    a_window_shrinks: "owned pages lie in windows", |bed| {
        let mut gated = bed.heap.pages.enter().expect("quiet");
        gated.windows.plant().0.remove(run(bed.first, 1)).expect("held");
    };
    a_window_grows: "the states of the windows add up", |bed| {
        let mut gated = bed.heap.pages.enter().expect("quiet");
        gated.windows.plant().0.add(run(bed.first.plus(1 << 30), 1)).expect("room");
    };
    owned_pages_are_metadata: "owned pages are not metadata's", |bed| {
        let mut gated = bed.heap.pages.enter().expect("quiet");
        let room = gated.windows.room();
        gated.windows.plant_room(PageRun::between(bed.first, room.end()));
    };
    a_free_page_is_in_the_reserve: "a page is free or in the reserve", |bed| {
        let free = bed.free_page();
        bed.heap.pages.pool().hold().plant().2.plant(run(free, 1));
    };
    a_span_is_in_the_reserve: "the pages of a span are not in the reserve", |bed| {
        let (first, _) = bed.large();
        bed.heap.pages.pool().hold().plant().2.plant(run(first, 1));
    };
    the_reserve_is_scavenged: "the pages of the reserve are ready", |bed| {
        let mut pool = bed.heap.pages.pool().hold();
        let first = pool.reserve().next().expect("the bed has one").first;
        let (pages, state, _) = pool.plant();
        pages.set_scavenged(state, run(first, 1)).expect("was taken");
    };
    the_reserve_has_too_much: "the reserve has no more pages than its goal", |bed| {
        bed.heap.pages.pool().hold().plant().2.plant_goal(0);
    };
    the_reserve_has_too_little: "a reserve that lacks pages is known to be low", |bed| {
        bed.heap.pages.pool().hold().plant().2.plant_goal(2);
    };
    the_reserve_has_too_few_records: "a reserve that lacks records is known to be low", |bed| {
        bed.heap.central.lock().keep_records(1 << 10);
    };
    a_page_outside_enters_the_index: "the index names spans in owned pages alone", |bed| {
        let owned = bed.heap.pages.pool().hold().owned().iter().next().expect("the bed has some");
        bed.heap.pages.index().set(run(owned.end(), 1), Some(bed.large().1));
    };
    the_reserve_is_outside: "the runs of the reserve are owned and apart", |bed| {
        bed.heap.pages.pool().hold().plant().2.plant(run(bed.first.plus(1 << 30), 1));
    };
}

#[test]
fn at_least_25_rules_are_damaged() {
    let mut rules = RULES.to_vec();
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(rules.len(), RULES.len(), "each rule once");
    assert!(rules.len() >= 25, "{} rules", rules.len());
}

#[test]
fn a_violation_says_where() {
    let bed = DamagedHeap::new();
    let (first, _) = bed.partial();
    bed.heap.pages.index().set(run(first, 1), None);
    let violation = bed.heap.verify().expect_err("the damage is found");
    assert_eq!(violation.address, Some(first.address::<Sim<Plain32>>()));
}

/// Frees go on where a count is damaged, and so do requests.
#[test]
fn a_count_of_large_objects_wraps() {
    let bed = DamagedHeap::new();
    let count = || bed.heap.central.lock().counts().large_objects;
    bed.make_and_free(100_000, || {
        bed.heap.central.lock().plant_counts().large_objects = 0;
    });
    assert_eq!(count(), usize::MAX);
    bed.make_and_free(100_000, || assert_eq!(count(), 0));
    assert_eq!(count(), usize::MAX);
}
