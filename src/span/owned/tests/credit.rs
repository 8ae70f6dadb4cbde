//! Credit: the frees until somebody looks at a span.

use super::stage::{FREES, Stage};
use crate::span::owned::full_is_counted;

/// The frees that bring a full span into the queue: one, or a quarter of the slots.
fn frees_of_full(slots: usize) -> usize {
    if slots <= 16 { 1 } else { slots / 4 }
}

/// The frees after which a current span is looked at.
fn frees_of_current(live: usize, slots: usize) -> usize {
    if slots <= 16 {
        live.max(1)
    } else {
        live + live / 2 + 4
    }
}

#[test]
fn a_full_span_is_queued_by_its_first_free_or_after_a_quarter_of_its_slots() {
    for class in Stage::classes() {
        for free in FREES {
            let stage = Stage::new();
            let span = stage.full(class);
            stage.own(class);
            let frees = frees_of_full(span.slots());
            for slot in 0..frees {
                assert!(span.is_full() && stage.first(class).is_none(), "{class:?}");
                assert_eq!(free(span, slot), None);
            }
            assert!(!span.is_full(), "{class:?}");
            // An empty one is kept, and in no queue.
            let is_empty = span.live() == 0;
            assert_eq!(stage.has_kept(), is_empty, "{class:?}");
            let queued = (!is_empty).then_some(span.handle);
            assert_eq!(stage.first(class), queued, "{class:?}");
        }
    }
}

#[test]
fn the_last_free_of_a_span_in_the_queue_finds_it_empty() {
    for class in Stage::classes() {
        for free in FREES {
            let stage = Stage::new();
            let span = stage.full(class);
            stage.own(class);
            for slot in 0..span.slots() {
                assert!(!stage.has_kept(), "{slot} of {class:?}");
                assert_eq!(free(span, slot), None);
            }
            assert!(stage.has_kept(), "{class:?}");
        }
    }
}

#[test]
fn a_span_that_is_put_aside_has_credit_for_its_live_slots() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = stage.own(class);
        // One that is empty has to be found by a free, too.
        for live in 0..span.slots() {
            assert_eq!(span.live(), live);
            span.leave();
            assert_eq!(span.credit(), live.max(1), "{class:?}");
            stage.take(class).expect("the span has free slots");
        }
        span.leave();
        assert!(span.is_full(), "{class:?}");
        assert_eq!(span.credit(), frees_of_full(span.slots()), "{class:?}");
    }
}

#[test]
fn the_current_span_is_looked_at_when_it_may_be_empty() {
    for class in Stage::classes() {
        for free in FREES {
            let stage = Stage::new();
            let span = stage.own(class);
            let slots = span.slots();
            assert_eq!(span.credit(), frees_of_current(0, slots), "{class:?}");
            span.fill();
            let live = slots.saturating_sub(span.credit());
            for slot in live..slots {
                assert_eq!(free(span, slot), None);
            }
            let is_kept = stage.has_kept();
            assert_eq!(is_kept, live == 0, "{class:?}");
            if live > 0 {
                assert_eq!(span.credit(), frees_of_current(live, slots), "{class:?}");
                for slot in 0..live {
                    assert_eq!(free(span, slot), None);
                }
                let is_counted = frees_of_current(live, slots) == live;
                assert_eq!(stage.has_kept(), is_counted, "{class:?}");
            }
        }
    }
}

#[test]
fn a_current_span_of_many_slots_and_few_live_ones_is_looked_at_now_and_then() {
    for class in Stage::classes() {
        for free in FREES {
            let stage = Stage::new();
            let span = stage.own(class);
            if span.slots() <= 16 {
                continue;
            }
            for _ in 0..10 {
                stage.take(class).expect("the span has free slots");
            }
            for slot in 0..4 {
                assert_eq!(free(span, slot), None);
            }
            assert_eq!((span.live(), span.credit()), (6, 13), "{class:?}");
        }
    }
}

#[test]
fn a_span_of_few_slots_that_comes_from_the_queue_is_looked_at_when_it_is_empty() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let (span, current) = (stage.full(class), stage.own(class));
        let slots = span.slots();
        for slot in 0..frees_of_full(slots) {
            assert_eq!(span.free(slot), None);
        }
        current.fill();
        let live = span.live();
        if live == 0 {
            continue;
        }
        stage.take(class).expect("the span has free slots");
        assert!(stage.is_current(span));
        // Looking at others costs more than their memory is worth for a while.
        let more = if slots <= 16 { 0 } else { 4 };
        assert_eq!(span.credit(), live + more, "{class:?}");
    }
}

#[test]
fn a_full_span_has_as_many_live_slots_as_its_credit_says() {
    let class = Stage::class_with(|slots| slots == 64);
    let stage = Stage::new();
    let span = stage.full(class);
    let is_counted = || full_is_counted(span.get(), span.slots());
    assert!(is_counted());
    assert_eq!(span.free(3), None);
    assert!(is_counted());
    for wrong in [14, 16, 17, 0] {
        let right = span.set_credit(wrong);
        assert!(!is_counted(), "{wrong}");
        span.set_credit(right);
    }
    assert!(is_counted());
}
