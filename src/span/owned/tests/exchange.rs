//! Spans that the CPU and the central lists take from each other.

use alloc::vec::Vec;

use archipelago_sim::Hosted;

use super::stage::Stage;
use crate::span::central::Central;
use crate::span::owned::Tag;

#[test]
fn a_drained_cpu_keeps_full_spans_alone() {
    for class in Stage::classes() {
        let stage = Stage::new();
        let (full, queued, current) = (stage.full(class), stage.own(class), stage.own(class));
        stage.take(class).expect("a slot");
        let mut drained = Vec::new();
        let entered = stage.enter();
        entered.drain(stage.records(), || (), |(), handle| drained.push(handle));
        drop(entered);
        drained.sort_by_key(|handle| handle.0);
        let mut free = [queued.handle, current.handle];
        free.sort_by_key(|handle| handle.0);
        if queued.slots() == 1 {
            assert_eq!(drained, [queued.handle], "the current one is full");
            continue;
        }
        assert_eq!(drained, free, "{class:?}");
        for span in [queued, current] {
            assert_eq!(span.get().record.tag(), Tag::NONE, "{class:?}");
            assert_eq!(span.credit(), span.slots() - span.live(), "{class:?}");
            assert_eq!(stage.find(span.slot(0)), None, "{class:?}");
        }
        assert!(full.is_full(), "{class:?}");
        assert_eq!(stage.take(class), None, "{class:?}");
    }
}

#[test]
fn the_central_lists_take_spans_with_free_slots_and_give_them_back() {
    let class = Stage::class_with(|slots| slots == 4);
    let stage = Stage::new();
    let (full, part) = (stage.full(class), stage.span(class));
    let central = Central::<Hosted>::new(false);
    let mut lists = central.lock();
    let span_class = part.get().span_class(class);
    assert_eq!(lists.take_span(stage.records(), span_class), None);
    full.set_credit(0);
    part.set_credit(3);
    for span in [full, part] {
        let retired = lists.return_span(stage.records(), span.handle, class, span.slots());
        assert!(retired.is_none(), "an object of it is live");
    }
    let found = lists.take_span(stage.records(), span_class);
    assert_eq!(found, Some(part.handle));
    assert_eq!(lists.take_span(stage.records(), span_class), None);
}
