//! Slots that are taken: of the current word, of other words, and of the next span.

use super::stage::Stage;
use crate::span::record::WORD_BITS;

#[test]
fn slots_are_taken_from_the_lowest_one_up() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = stage.own(class);
        span.fill();
        assert_eq!(stage.take(class), None, "{class:?}");
        for slot in [span.slots() - 1, span.slots() / 2, 0] {
            span.clear(slot);
            assert_eq!(stage.take(class), Some(span.slot(slot)), "{class:?}");
        }
    }
}

#[test]
fn the_current_word_is_at_hand_and_no_other() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = stage.own(class);
        for slot in 0..span.slots().min(WORD_BITS) {
            let taken = stage.take_at_once(class);
            assert_eq!(taken, Some(span.slot(slot)), "{class:?}");
        }
        assert_eq!(stage.take_at_once(class), None, "{class:?}");
    }
}

#[test]
fn the_next_span_of_one_word_is_at_hand() {
    for (slots, frees) in [(2, 1), (16, 1), (32, 8)] {
        let stage = Stage::new();
        let class = Stage::class_with(|of| of == slots);
        assert_eq!(stage.take_next(class), None, "there is none");
        let next = stage.full(class);
        assert_eq!(stage.take_next(class), None, "it is full");
        let current = stage.own(class);
        for slot in 0..frees {
            assert_eq!(next.free(slot), None);
        }
        assert_eq!(stage.take_at_once(class), Some(current.slot(0)));
        while stage.take_at_once(class).is_some() {}
        assert_eq!(stage.take_next(class), Some(next.slot(0)), "{slots}");
        assert!(stage.is_current(next) && current.is_full());
        for slot in 1..frees {
            assert_eq!(stage.take_at_once(class), Some(next.slot(slot)), "{slots}");
        }
        assert_eq!(stage.take_at_once(class), None);
        assert_eq!(stage.take_next(class), None);
    }
}

#[test]
fn the_next_span_of_several_words_takes_longer() {
    let stage = Stage::new();
    let class = Stage::class_with(|slots| slots > WORD_BITS);
    let span = stage.own(class);
    span.leave();
    assert_eq!(stage.take_next(class), None);
    assert_eq!(stage.take(class), Some(span.slot(0)));
    while stage.take_at_once(class).is_some() {}
    assert_eq!(
        stage.take_next(class),
        None,
        "another word takes longer, too"
    );
}

#[test]
fn a_used_up_span_stays_current_until_there_is_another() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let span = stage.own(class);
        span.fill();
        assert_eq!(stage.take(class), None);
        assert!(stage.is_current(span), "{class:?}");
        assert!(!span.is_full(), "{class:?}");
    }
}
