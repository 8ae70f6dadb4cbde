//! Slots that other CPUs have freed.

use super::stage::Stage;
use crate::span::record::WORD_BITS;

#[test]
fn freed_slots_come_back_when_the_class_runs_dry() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = stage.full(class);
        let slots = [0, span.slots() / 2, span.slots() - 1];
        if span.slots() == 1 {
            continue;
        }
        let end = if span.slots() < 4 { 1 } else { 3 };
        for slot in &slots[..end] {
            span.free_remotely(*slot);
        }
        assert_eq!(span.live(), span.slots(), "nobody has looked");
        for slot in &slots[..end] {
            assert_eq!(stage.take(class), Some(span.slot(*slot)), "{class:?}");
        }
        assert_eq!(stage.take(class), None, "{class:?}");
    }
}

#[test]
fn notices_are_not_read_while_there_is_a_span_in_the_queue() {
    let class = Stage::class_with(|slots| slots == 32);
    let stage = Stage::new();
    let (free, full) = (stage.own(class), stage.span(class));
    full.own();
    full.fill();
    full.free_remotely(0);
    assert_eq!(stage.take(class), Some(free.slot(0)));
    assert!(!stage.block.inbox.is_empty());
    assert!(full.is_remote());
    free.fill();
    assert_eq!(stage.take(class), Some(full.slot(0)));
    assert!(stage.block.inbox.is_empty());
    assert!(!full.is_remote());
}

#[test]
fn words_that_are_not_posted_are_left_alone() {
    let class = Stage::class_with(|slots| slots > WORD_BITS);
    let stage = Stage::new();
    let span = stage.full(class);
    span.free_remotely(1);
    // Another CPU is about to post this one.
    span.set_remote_bit(WORD_BITS);
    stage.enter().read_notices(stage.records());
    assert_eq!(span.live(), span.slots() - 1);
    assert!(span.get().is_taken(WORD_BITS));
    assert!(
        span.is_remote(),
        "a slot is freed that nobody has taken back"
    );
}

#[test]
fn a_full_span_is_queued_by_a_notice() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = stage.full(class);
        span.free_remotely(0);
        stage.enter().read_notices(stage.records());
        assert!(!span.is_full(), "{class:?}");
        if span.slots() == 1 {
            assert!(
                stage.first(class).is_none() && stage.has_kept(),
                "{class:?}"
            );
            continue;
        }
        assert_eq!(stage.first(class), Some(span.handle), "{class:?}");
        assert_eq!(span.credit(), span.live(), "{class:?}");
    }
}

#[test]
fn a_notice_leaves_the_current_span_current() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = stage.own(class);
        let slot = stage.take(class).expect("a slot");
        assert_eq!(slot, span.slot(0));
        let credit = span.credit();
        span.free_remotely(0);
        stage.enter().read_notices(stage.records());
        assert_eq!(span.live(), 0);
        assert!(stage.is_current(span) && stage.first(class).is_none());
        assert_eq!(span.credit(), credit, "{class:?}");
        assert!(stage.has_kept(), "another class may take it");
    }
}
