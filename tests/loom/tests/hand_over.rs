//! Spans go from CPU to CPU, and blocks are drained from outside, and no slot is lost.

use archipelago_loom::Site;
use archipelago_loom::hand_over::{Owner, Rule, beside_a_free, beside_two_frees, from_outside};

const ENTER: Site = Site {
    file: "src/span/owned/atomics.rs",
    function: "swap_flag",
};

const LEAVE: Site = Site {
    file: "src/span/owned/block.rs",
    function: "drop",
};

/// Where the owner takes the tag away that freers look at.
const HAND_OVER: Site = Site {
    file: "src/span/owned/atomics.rs",
    function: "swap_number",
};

/// Where freers look at the tag.
const LOOK: Site = Site {
    file: "src/span/owned/atomics.rs",
    function: "set_in_number",
};

#[test]
fn two_slots_of_a_word_are_freed_whoever_owns_the_span() {
    let owners = beside_two_frees(Rule::Kept, None);
    let all = [Owner::Cpu(0), Owner::Cpu(1), Owner::Nobody];
    assert!(owners.into_iter().eq(all));
}

#[test]
#[should_panic(expected = "a slot is lost")]
fn a_free_that_nobody_finishes_is_caught() {
    beside_a_free(Rule::NotFinished, None);
}

#[test]
#[should_panic(expected = "a slot is lost")]
fn a_span_that_is_handed_over_without_order_is_caught() {
    beside_a_free(Rule::Kept, Some(HAND_OVER));
}

#[test]
#[should_panic(expected = "a slot is lost")]
fn a_look_at_the_tag_without_order_is_caught() {
    beside_a_free(Rule::Kept, Some(LOOK));
}

#[test]
fn the_last_slot_is_freed_whoever_owns_the_span() {
    let owners = beside_a_free(Rule::Kept, None);
    let all = [Owner::Cpu(0), Owner::Cpu(1), Owner::Nobody];
    assert!(owners.into_iter().eq(all));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_span_that_is_made_a_cpus_without_the_lock_is_caught() {
    beside_a_free(Rule::OwnedWithoutTheLock, None);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_span_that_is_given_up_without_the_lock_is_caught() {
    beside_a_free(Rule::GivenUpWithoutTheLock, None);
}

#[test]
fn a_block_is_drained_before_or_after_a_slot_is_taken_or_not_at_all() {
    let outcomes = from_outside(Rule::Kept, None);
    let all = [(false, true), (true, false), (true, true)];
    assert!(outcomes.into_iter().eq(all));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_block_that_is_not_entered_is_caught() {
    from_outside(Rule::NotEntered, None);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_block_that_is_entered_without_order_is_caught() {
    from_outside(Rule::Kept, Some(ENTER));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_block_that_is_left_without_order_is_caught() {
    from_outside(Rule::Kept, Some(LEAVE));
}
