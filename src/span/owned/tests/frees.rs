//! Frees of the owner, the short way.

use archipelago_api::VirtAddr;

use super::stage::{PAGE, Plain, START, Span, Stage};
use crate::span::owned::frees::OwnFree;
use crate::span::record::WORD_BITS;

/// Frees what is at `address`; whether the short way serves that.
fn is_free_at(stage: &Stage, span: Span<'_>, address: VirtAddr) -> bool {
    let entered = stage.enter();
    // SAFETY: nobody uses the slots.
    let freed = unsafe { entered.free_at::<Plain>(address, span.place()) };
    !matches!(freed, OwnFree::Refused)
}

#[test]
fn only_the_first_byte_of_a_live_slot_is_freed() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = stage.full(class);
        let size = Stage::table().size(class);
        let end = span.slot(0).value() + Stage::table().pages(class) * PAGE;
        for slot in 0..span.slots() {
            let start = span.slot(slot).value();
            for inside in [1, 4, size / 2, size - 1] {
                let address = VirtAddr::new(start + inside);
                assert!(!is_free_at(&stage, span, address), "{inside} of {class:?}");
            }
            assert!(
                is_free_at(&stage, span, span.slot(slot)),
                "{slot} of {class:?}"
            );
            assert!(!is_free_at(&stage, span, span.slot(slot)), "it is free");
            assert_eq!(span.live(), span.slots() - slot - 1);
        }
        for tail in (span.slot(span.slots()).value()..end).step_by(4) {
            assert!(!is_free_at(&stage, span, VirtAddr::new(tail)), "{class:?}");
        }
    }
}

#[test]
fn slots_of_another_place_or_of_nobody_are_not_freed() {
    let stage = Stage::new();
    let mut classes = Stage::classes();
    let class = classes.next().expect("a class");
    let other = classes.next().expect("another class");
    let (span, others, nobodys) = (stage.full(class), stage.full(other), stage.span(class));
    assert!(!is_free_at(&stage, others, span.slot(0)));
    assert!(!is_free_at(&stage, span, nobodys.slot(0)));
    assert!(!is_free_at(&stage, span, VirtAddr::new(START - 8)));
    assert_eq!(span.live(), span.slots());
    assert!(is_free_at(&stage, span, span.slot(0)));
}

#[test]
fn a_full_span_is_settled_soon_unless_it_is_empty() {
    for (slots, frees) in [(2, 1), (16, 1), (32, 8)] {
        let stage = Stage::new();
        let span = stage.full(Stage::class_with(|of| of == slots));
        // Of which slots are taken, so that the other one waits in the queue.
        stage.own(span.class);
        for slot in 0..slots {
            let settled = span.free_and_settle(slot);
            let (is_queued, is_empty) = (slot + 1 == frees, slot + 1 == slots);
            let spent = (is_queued || is_empty).then_some(!is_empty);
            assert_eq!(settled, spent, "{slot} of {slots}");
        }
    }
}

#[test]
fn a_current_span_of_one_word_is_settled_soon_unless_it_is_empty() {
    for (slots, frees) in [(2, 1), (16, 1), (32, 8)] {
        let stage = Stage::new();
        let span = stage.own(Stage::class_with(|of| of == slots));
        span.fill();
        for slot in 0..slots {
            let settled = span.free_and_settle(slot);
            let (is_looked_at, is_empty) = (slot + 1 == frees, slot + 1 == slots);
            let spent = (is_looked_at || is_empty).then_some(!is_empty);
            assert_eq!(settled, spent, "{slot} of {slots}");
            assert!(stage.is_current(span));
        }
    }
}

#[test]
fn others_are_not_settled_soon() {
    let stage = Stage::new();
    let one = stage.full(Stage::class_with(|slots| slots == 1));
    assert_eq!(one.free_and_settle(0), Some(false), "it is empty");
    let current = stage.own(Stage::class_with(|slots| slots > WORD_BITS));
    for _ in 0..16 {
        stage.take(current.class).expect("the span has free slots");
    }
    for slot in 0..7 {
        assert_eq!(current.free_and_settle(slot), None);
    }
    assert_eq!(current.free_and_settle(7), Some(false), "it has many words");
}
