//! Empty spans that the CPU keeps by their pages.

use alloc::vec::Vec;

use archipelago_api::VirtAddr;

use super::stage::{Span, Stage};
use crate::arena::SpanHandle;
use crate::span::class::SizeClass;
use crate::span::owned::emptied::MOST_PAGES;
use crate::span::owned::places::LONGEST;
use crate::span::owned::places::Place;
use crate::span::owned::{Emptied, Tag};
use crate::span::record::Record;

/// A class of as many pages for a span.
fn class_of(pages: usize) -> SizeClass {
    let is_right = |class: &SizeClass| Stage::table().pages(*class) == pages;
    Stage::classes().find(is_right).expect("there is one")
}

/// Frees all slots of a full span; the span that is given up for it.
fn empty(span: Span<'_>) -> Option<Emptied> {
    let last = span.slots() - 1;
    for slot in 0..last {
        assert_eq!(span.free(slot), None);
    }
    span.free(last)
}

/// An empty span of so many pages, which the CPU keeps.
fn kept(stage: &Stage, pages: usize) -> Span<'_> {
    let span = stage.full(class_of(pages));
    assert_eq!(empty(span), None);
    span
}

/// A span of `class` that is current and empty.
fn empty_current(stage: &Stage, class: SizeClass) -> Span<'_> {
    let span = stage.own(class);
    stage.take(class).expect("the span is empty");
    // It is looked at by this free, whatever the credit of its class.
    span.set_credit(1);
    assert_eq!(span.free(0), None);
    span
}

fn take_kept(stage: &Stage, pages: usize, fits: impl Fn(&Record) -> bool) -> Option<SpanHandle> {
    stage.enter().take_kept(stage.records(), pages, fits)
}

/// The spans that are given up until no more than `most` pages are left.
fn give_up(stage: &Stage, most: usize) -> Vec<SpanHandle> {
    let mut given_up = Vec::new();
    let entered = stage.enter();
    entered.give_up_kept(stage.records(), most, |Emptied(handle)| {
        given_up.push(handle);
    });
    given_up
}

fn check_is_nobodys(stage: &Stage, span: Span<'_>) {
    assert_eq!(span.get().record.tag(), Tag::NONE);
    assert_eq!(span.get().record.free_slots(), span.slots());
    assert_eq!(stage.find(span.slot(0)), None);
}

#[test]
fn no_more_pages_are_kept_than_the_bound() {
    let class = class_of(8);
    let stage = Stage::new();
    let spans: Vec<_> = (0..MOST_PAGES / 8 + 4).map(|_| stage.full(class)).collect();
    for (number, span) in (1..).zip(spans) {
        // One that is too much is the last of the most, which are those of its length.
        let is_kept = number * 8 <= MOST_PAGES;
        let given_up = (!is_kept).then_some(Emptied(span.handle));
        assert_eq!(empty(span), given_up, "{number}");
        assert_eq!(stage.kept_pages(), MOST_PAGES.min(number * 8));
        if !is_kept {
            check_is_nobodys(&stage, span);
        }
    }
}

#[test]
fn one_of_the_length_of_which_there_are_the_most_pages_makes_room() {
    for (long, short) in [(3, 8), (1, 24)] {
        let stage = Stage::new();
        let long: Vec<_> = (0..long).map(|_| kept(&stage, LONGEST)).collect();
        let short: Vec<_> = (0..short).map(|_| kept(&stage, 2)).collect();
        assert_eq!(stage.kept_pages(), MOST_PAGES);
        let is_long = long.len() * LONGEST > short.len() * 2;
        let most = if is_long { long } else { short };
        let (next, last) = (stage.full(class_of(4)), most[most.len() - 1]);
        assert_eq!(empty(next), Some(Emptied(last.handle)));
        let pages = if is_long { LONGEST } else { 2 };
        assert_eq!(stage.kept_pages(), MOST_PAGES + 4 - pages);
        check_is_nobodys(&stage, last);
        assert_eq!(take_kept(&stage, 4, |_| true), Some(next.handle));
    }
}

#[test]
fn the_longest_are_given_up_first_and_no_more_than_need_be() {
    let stage = Stage::new();
    let (one, two, long) = (kept(&stage, 1), kept(&stage, 2), kept(&stage, 8));
    let last = kept(&stage, 2);
    assert_eq!(stage.kept_pages(), 13);
    assert_eq!(give_up(&stage, 13), []);
    assert_eq!(give_up(&stage, 4), [long.handle, last.handle]);
    assert_eq!(stage.kept_pages(), 3);
    assert_eq!(give_up(&stage, 3), []);
    assert_eq!(give_up(&stage, 0), [two.handle, one.handle]);
    assert_eq!(give_up(&stage, 0), [], "each is given up once");
    for span in [one, two, long, last] {
        check_is_nobodys(&stage, span);
    }
}

#[test]
fn kept_spans_are_given_up_once_and_are_nobodys() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let (kept, other) = (stage.full(class), stage.full(class));
        assert_eq!(empty(kept), None);
        assert_eq!(stage.kept_pages(), Stage::table().pages(class));
        assert_eq!(stage.first(class), None, "it is in no queue");
        assert_eq!(give_up(&stage, 0), [kept.handle], "{class:?}");
        assert!(!stage.has_kept());
        assert_eq!(give_up(&stage, 0), []);
        check_is_nobodys(&stage, kept);
        assert!(other.is_full());
    }
}

#[test]
fn a_span_of_as_many_pages_is_taken_the_last_first() {
    let stage = Stage::new();
    let (first, other, last) = (kept(&stage, 2), kept(&stage, 4), kept(&stage, 2));
    for pages in [0, 1, 3, LONGEST + 1] {
        assert_eq!(take_kept(&stage, pages, |_| true), None, "{pages}");
    }
    assert_eq!(take_kept(&stage, 2, |_| true), Some(last.handle));
    assert_eq!(take_kept(&stage, 2, |_| true), Some(first.handle));
    assert_eq!(stage.kept_pages(), 4);
    assert_eq!(take_kept(&stage, 2, |_| true), None);
    assert_eq!(give_up(&stage, 0), [other.handle]);
}

#[test]
fn a_record_without_room_for_the_slots_is_left() {
    let is_of = |wide: bool| {
        move |class: &SizeClass| {
            let table = Stage::table();
            table.pages(*class) == 1 && wide == (table.slots(*class) > 128)
        }
    };
    let narrow = Stage::classes().find(is_of(false)).expect("there is one");
    let wide = Stage::classes().find(is_of(true)).expect("there is one");
    let stage = Stage::new();
    let (wide, narrow) = (stage.full(wide), stage.full(narrow));
    assert_eq!(empty(narrow), None);
    assert_eq!(take_kept(&stage, 1, Record::is_wide), None);
    assert_eq!(stage.kept_pages(), 1);
    assert_eq!(empty(wide), None);
    assert_eq!(take_kept(&stage, 1, Record::is_wide), Some(wide.handle));
    assert_eq!(take_kept(&stage, 1, Record::is_wide), None);
    assert_eq!(give_up(&stage, 0), [narrow.handle], "it is still kept");
}

#[test]
fn an_empty_current_span_stays_current_until_another_class_takes_it() {
    for class in Stage::classes() {
        let stage = Stage::new();
        // A span of another length comes before or after it.
        let pages = Stage::table().pages(class);
        empty_current(&stage, class_of(if pages == 1 { 2 } else { 1 }));
        let span = empty_current(&stage, class);
        assert!(stage.is_current(span) && stage.kept_pages() == 0);
        assert_eq!(take_kept(&stage, pages, |_| false), None);
        assert!(stage.is_current(span), "{class:?}");
        let taken = take_kept(&stage, pages, |_| true);
        assert_eq!(taken, Some(span.handle), "{class:?}");
        assert_eq!(span.get().record.free_slots(), span.slots());
        assert!(!stage.is_current(span), "{class:?}");
        assert_eq!(stage.take(class), None, "{class:?}");
        assert_eq!(take_kept(&stage, pages, |_| true), None);
        assert!(stage.has_kept(), "the other one is left");
    }
}

#[test]
fn a_current_span_that_is_used_again_is_not_taken() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = empty_current(&stage, class);
        stage.take(class).expect("the span is empty");
        let pages = Stage::table().pages(class);
        assert_eq!(take_kept(&stage, pages, |_| true), None, "{class:?}");
        assert_eq!(give_up(&stage, 0), [], "{class:?}");
        assert!(stage.is_current(span), "{class:?}");
    }
}

/// Slots of another word than the current one are live.
#[test]
fn a_current_span_with_an_empty_word_is_not_taken() {
    let class = Stage::class_with(|slots| slots > 2 * usize::BITS as usize);
    let stage = Stage::new();
    let span = empty_current(&stage, class);
    span.fill();
    span.clear(0);
    assert_eq!(stage.take(class), Some(span.slot(0)));
    for slot in 0..usize::BITS as usize {
        span.clear(slot);
    }
    let pages = Stage::table().pages(class);
    assert_eq!(take_kept(&stage, pages, |_| true), None);
    assert!(stage.is_current(span));
}

#[test]
fn an_empty_current_span_makes_way_for_the_queue() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let queued = stage.own(class);
        let span = empty_current(&stage, class);
        assert!(!stage.is_current(span), "{class:?}");
        assert_eq!(stage.kept_pages(), Stage::table().pages(class));
        assert_eq!(stage.take(class), Some(queued.slot(0)), "{class:?}");
        assert_eq!(give_up(&stage, 0), [span.handle], "{class:?}");
    }
}

#[test]
fn empty_current_spans_are_collected() {
    let stage = Stage::new();
    let spans: Vec<_> = [1, 2, 4, 8]
        .map(|pages| empty_current(&stage, class_of(pages)))
        .into();
    let used = class_of(3);
    empty_current(&stage, used);
    stage.take(used).expect("the span is empty");
    let aside = kept(&stage, 5);
    assert_eq!(stage.kept_pages(), 5);
    for _ in 0..2 {
        assert_eq!(stage.enter().collect_kept(stage.records()), 20);
        assert_eq!(stage.kept_pages(), 20);
    }
    let next = stage.enter().block.kept.next_current(Place::NONE);
    assert_eq!(next, None, "all were looked at");
    let [one, two, four, eight] = spans[..] else {
        panic!("there are four");
    };
    let longest_first = [eight, aside, four, two, one].map(|span| span.handle);
    assert_eq!(give_up(&stage, 0), longest_first);
}

/// A free does not ask whether a span is kept: it finds that the slot is not live, or with
/// `trusting` clears its bit again.
#[test]
fn a_kept_span_is_found_by_frees() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = stage.full(class);
        assert_eq!(empty(span), None);
        assert_eq!(stage.find(span.slot(0)), Some(span.handle), "{class:?}");
        assert_eq!(Place::of_tag(span.get().record.tag()), span.place());
        for slot in 0..span.slots() {
            let inside = VirtAddr::new(span.slot(slot).value() + 4);
            for address in [span.slot(slot), inside] {
                let is_freed = span.is_free_at(address);
                assert_eq!(is_freed, cfg!(feature = "trusting"), "{class:?}");
            }
        }
        assert_eq!(stage.kept_pages(), Stage::table().pages(class));
        assert_eq!(give_up(&stage, 0), [span.handle], "{class:?}");
    }
}

#[test]
fn a_kept_span_starts_again_with_another_class_and_back() {
    let has_pages = |class: &SizeClass| Stage::table().pages(*class) == 1;
    let classes: Vec<_> = Stage::classes().filter(has_pages).collect();
    // The first has the widest record.
    let stage = Stage::new();
    let mut span = stage.full(classes[0]);
    let start = span.slot(0);
    for class in classes.iter().chain(&classes[..3]) {
        assert_eq!(empty(span), None);
        let handle = take_kept(&stage, 1, |_| true).expect("it is kept");
        assert_eq!(handle, span.handle);
        let old = span;
        span.class = *class;
        stage.enter().start(stage.records(), handle, span.place());
        assert!(stage.is_current(span) && stage.kept_pages() == 0);
        assert_eq!(span.slot(0), start);
        span.fill();
        if old.class != span.class {
            assert!(!old.is_free_at(start), "it is of another class");
        }
        span.leave();
        assert!(span.is_full(), "{class:?}");
    }
    assert_eq!(empty(span), None);
    assert_eq!(give_up(&stage, 0), [span.handle]);
    check_is_nobodys(&stage, span);
}
