//! Slots that are freed by others than the owner of their span are taken back, once each, and the
//! span stays until then.

use archipelago_loom::Site;
use archipelago_loom::remote_frees::{Rule, Slots, beside_the_owner, of_the_last_slots};

const fn atomics(function: &'static str) -> Site {
    Site {
        file: "src/span/owned/atomics.rs",
        function,
    }
}

#[test]
fn two_slots_of_one_word_are_taken_back() {
    let seen = beside_the_owner(Slots::OfOneWord, Rule::Kept, None);
    assert!(seen.into_iter().eq([0, 1, 2]));
}

#[test]
fn two_slots_of_two_words_are_taken_back() {
    let seen = beside_the_owner(Slots::OfTwoWords, Rule::Kept, None);
    assert!(seen.into_iter().eq([0, 1, 2]));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_bit_is_caught() {
    beside_the_owner(Slots::OfOneWord, Rule::Kept, Some(atomics("set_in_word")));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_word_is_caught() {
    beside_the_owner(Slots::OfOneWord, Rule::Kept, Some(atomics("keep_in_word")));
}

#[test]
#[should_panic(expected = "a notice was lost")]
fn a_relaxed_post_of_a_word_is_caught() {
    beside_the_owner(Slots::OfTwoWords, Rule::Kept, Some(atomics("set_in_mask")));
}

#[test]
#[should_panic(expected = "a notice was lost")]
fn a_relaxed_mask_is_caught() {
    beside_the_owner(Slots::OfTwoWords, Rule::Kept, Some(atomics("swap_mask")));
}

#[test]
#[should_panic(expected = "a notice was lost")]
fn a_relaxed_post_of_a_record_is_caught() {
    beside_the_owner(Slots::OfTwoWords, Rule::Kept, Some(atomics("replace")));
}

#[test]
#[should_panic(expected = "a notice was lost")]
fn a_relaxed_inbox_is_caught() {
    beside_the_owner(Slots::OfTwoWords, Rule::Kept, Some(atomics("swap_number")));
}

#[test]
#[should_panic(expected = "the tag says that others have freed slots")]
fn a_relaxed_mark_is_caught() {
    beside_the_owner(
        Slots::OfTwoWords,
        Rule::Kept,
        Some(atomics("set_in_number")),
    );
}

#[test]
#[should_panic(expected = "the tag says that others have freed slots")]
fn a_mark_that_is_cleared_without_order_is_caught() {
    beside_the_owner(
        Slots::OfTwoWords,
        Rule::Kept,
        Some(atomics("keep_in_number")),
    );
}

#[test]
#[should_panic(expected = "a notice was lost")]
fn a_mask_that_is_emptied_last_is_caught() {
    beside_the_owner(Slots::OfTwoWords, Rule::MaskLast, None);
}

#[test]
fn an_empty_span_is_retired_and_not_touched_again() {
    let seen = of_the_last_slots(Slots::OfOneWord, Rule::Kept, None);
    assert!(seen.into_iter().eq([false, true]));
    let seen = of_the_last_slots(Slots::OfTwoWords, Rule::Kept, None);
    assert!(seen.into_iter().eq([false, true]));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn words_that_are_emptied_without_a_notice_are_caught() {
    of_the_last_slots(Slots::OfTwoWords, Rule::AllWords, None);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_freer_that_touches_the_record_later_is_caught() {
    of_the_last_slots(Slots::OfOneWord, Rule::TouchedLater, None);
}
