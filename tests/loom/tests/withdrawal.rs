//! Parts of the heap bitmap are taken back from nobody who uses them.

use archipelago_loom::parts::{FIND, PUBLISH};
use archipelago_loom::withdrawal::{
    DESCRIBED, Rule, beside_a_claim, beside_a_reader, refused_beside_a_reader,
};

#[test]
fn a_counted_reader_sees_a_part_or_none() {
    let seen = beside_a_reader(Rule::Kept, None);
    assert!(seen.into_iter().eq([None, Some(0), Some(DESCRIBED)]));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_reader_that_is_not_counted_is_caught() {
    beside_a_reader(Rule::NotCounted, None);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_reader_that_has_left_is_caught() {
    beside_a_reader(Rule::ReadsAfterItLeft, None);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_part_that_is_made_anew_without_order_is_caught() {
    beside_a_reader(Rule::Kept, Some(PUBLISH));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_counted_reader_without_order_is_caught() {
    beside_a_reader(Rule::Kept, Some(FIND));
}

#[test]
fn a_claim_keeps_its_part() {
    let outcomes = beside_a_claim(Rule::Kept, None);
    assert!(outcomes.into_iter().eq([(false, 1), (true, 0), (true, 1)]));
}

#[test]
#[should_panic(expected = "withdrawn")]
fn a_span_without_a_claim_is_caught() {
    beside_a_claim(Rule::NotClaimed, None);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_span_that_outlives_its_claim_is_caught() {
    beside_a_claim(Rule::UsedAfterItsRelease, None);
}

#[test]
fn a_part_that_the_machine_keeps_is_ready_again() {
    let seen = refused_beside_a_reader(None);
    assert!(seen.into_iter().eq([None, Some(0)]));
}
