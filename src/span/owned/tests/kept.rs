//! Empty spans that the CPU keeps.

use alloc::vec::Vec;

use super::stage::{Plain, Span, Stage};
use crate::span::owned::block::KEPT;
use crate::span::owned::{Emptied, Tag};
use crate::span::record::Record;

/// Frees all slots of a full span; the span that is given up for it.
fn empty(span: Span<'_>) -> Option<Emptied> {
    let last = span.slots() - 1;
    for slot in 0..last {
        assert_eq!(span.free(slot), None);
    }
    span.free(last)
}

#[test]
fn the_span_that_was_kept_longest_is_given_up() {
    let class = Stage::class_with(|slots| slots == 4);
    let stage = Stage::new();
    let spans: Vec<_> = (0..3 * KEPT).map(|_| stage.full(class)).collect();
    for (number, span) in spans.iter().enumerate() {
        let oldest = number.checked_sub(KEPT).map(|oldest| spans[oldest].handle);
        assert_eq!(empty(*span), oldest.map(Emptied), "{number}");
    }
}

#[test]
fn kept_spans_are_given_up_once_and_are_nobodys() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let (kept, other) = (stage.full(class), stage.full(class));
        assert_eq!(empty(kept), None);
        let mut given_up = Vec::new();
        let mut give_up = || {
            let entered = stage.enter();
            entered.give_up_kept(stage.records(), |Emptied(handle)| given_up.push(handle));
            assert!(!entered.has_kept());
        };
        give_up();
        give_up();
        assert_eq!(given_up, [kept.handle], "{class:?}");
        assert_eq!(kept.get().record.tag(), Tag::NONE);
        assert_eq!(kept.get().record.free_slots(), kept.slots());
        assert_eq!(stage.first(class), None, "it is in no queue");
        assert!(other.is_full());
    }
}

#[test]
fn a_kept_span_that_fits_is_given_up() {
    let stage = Stage::new();
    let (first, second) = (
        Stage::class_with(|of| of == 4),
        Stage::class_with(|of| of == 2),
    );
    let (first, second) = (stage.full(first), stage.full(second));
    assert_eq!((empty(first), empty(second)), (None, None));
    let give_up = |wanted: Span<'_>| {
        let start = wanted.slot(0);
        let fits = |record: &Record| record.base::<Plain>() == start;
        stage.enter().give_up_kept_one(stage.records(), fits)
    };
    assert_eq!(give_up(second), Some(Emptied(second.handle)));
    assert_eq!(give_up(second), None);
    assert!(stage.has_kept());
    assert_eq!(give_up(first), Some(Emptied(first.handle)));
    assert!(!stage.has_kept());
}
