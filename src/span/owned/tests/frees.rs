//! Frees of the owner, the short way.

#[cfg(feature = "trusting")]
use alloc::vec::Vec;

use archipelago_api::VirtAddr;

use super::stage::{PAGE, START, Stage};
#[cfg(feature = "trusting")]
use crate::base::sync::Ordering::Relaxed;
#[cfg(feature = "trusting")]
use crate::span::owned::places::remote_words;
use crate::span::record::WORD_BITS;

// With `trusting` any byte does, and a slot is freed however often: the next test.
#[cfg(not(feature = "trusting"))]
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
                assert!(!span.is_free_at(address), "{inside} of {class:?}");
            }
            assert!(span.is_free_at(span.slot(slot)), "{slot} of {class:?}");
            assert!(!span.is_free_at(span.slot(slot)), "it is free");
            assert_eq!(span.live(), span.slots() - slot - 1);
        }
        for tail in (span.slot(span.slots()).value()..end).step_by(4) {
            assert!(!span.is_free_at(VirtAddr::new(tail)), "{class:?}");
        }
    }
}

/// A trusting heap changes no other bit than that of the slot around the address, whatever byte of
/// the span that is.
#[cfg(feature = "trusting")]
#[test]
fn every_byte_of_a_slot_frees_that_slot_alone() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = stage.full(class);
        let size = Stage::table().size(class);
        let end = span.slot(0).value() + Stage::table().pages(class) * PAGE;
        let words = || -> Vec<usize> {
            let all = 0..2 * remote_words(span.slots());
            all.map(|at| span.get().word(at).load(Relaxed)).collect()
        };
        let mut expected = words();
        for tail in span.slot(span.slots()).value()..end {
            assert!(span.is_free_at(VirtAddr::new(tail)), "{class:?}");
            assert_eq!(words(), expected, "{class:?}");
        }
        for slot in 0..span.slots() {
            expected[slot / WORD_BITS] &= !(1 << (slot % WORD_BITS));
            for inside in [0, 1, 4, size / 2, size - 1] {
                let address = VirtAddr::new(span.slot(slot).value() + inside);
                assert!(span.is_free_at(address), "{inside} of {class:?}");
                assert_eq!(words(), expected, "{inside} of {class:?}");
            }
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
    assert!(!others.is_free_at(span.slot(0)));
    assert!(!span.is_free_at(nobodys.slot(0)));
    assert!(!span.is_free_at(VirtAddr::new(START - 8)));
    assert_eq!(span.live(), span.slots());
    assert!(span.is_free_at(span.slot(0)));
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
    for (slots, frees) in [(2, 1), (16, 1), (32, 4)] {
        let stage = Stage::new();
        let span = stage.own(Stage::class_with(|of| of == slots));
        span.fill();
        for slot in 0..slots {
            let settled = span.free_and_settle(slot);
            // One of many slots is not looked at when it becomes empty.
            let (is_looked_at, is_empty) = (slot + 1 == frees, slot + 1 == slots && slots <= 16);
            let spent = (is_looked_at || is_empty).then_some(!is_empty);
            assert_eq!(settled, spent, "{slot} of {slots}");
            assert!(stage.is_current(span));
        }
    }
}

/// The current word has no free slot, or there is none.
#[test]
fn a_full_span_of_one_word_becomes_current_where_no_slot_is_at_hand() {
    for class in Stage::classes() {
        for has_current in [true, false] {
            let stage = Stage::new();
            let (span, other) = (stage.full(class), stage.own(class));
            other.fill();
            if !has_current {
                other.leave();
            }
            let slots = span.slots();
            let frees = if slots <= 16 { 1 } else { slots / 4 };
            for slot in 0..frees {
                let settled = span.free_and_settle(slot);
                assert_eq!(settled, (slot + 1 == frees).then_some(true), "{class:?}");
            }
            assert!(!span.is_full(), "{class:?}");
            let has_one_word = slots <= WORD_BITS;
            assert_eq!(stage.is_current(span), has_one_word, "{class:?}");
            let queued = (!has_one_word).then_some(span.handle);
            assert_eq!(stage.first(class), queued, "{class:?}");
            assert_eq!(other.is_full(), has_one_word || !has_current);
            if has_one_word {
                let live = span.live();
                let credit = if slots <= 16 {
                    live.max(1)
                } else {
                    live + live / 2 + 4
                };
                assert_eq!(span.credit(), credit, "{class:?}");
                assert_eq!(stage.has_kept(), live == 0, "{class:?}");
                assert_eq!(stage.take_at_once(class), Some(span.slot(0)));
            }
        }
    }
}

#[test]
fn others_are_not_settled_soon() {
    let stage = Stage::new();
    let one = stage.full(Stage::class_with(|slots| slots == 1));
    stage.own(one.class);
    assert_eq!(one.free_and_settle(0), Some(false), "it is empty");
    let current = stage.own(Stage::class_with(|slots| slots > WORD_BITS));
    for _ in 0..16 {
        stage.take(current.class).expect("the span has free slots");
    }
    for slot in 0..3 {
        assert_eq!(current.free_and_settle(slot), None);
    }
    assert_eq!(current.free_and_settle(3), Some(false), "it has many words");
}
