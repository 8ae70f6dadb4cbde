//! Parts of a block are published by its word.

use archipelago_loom::parts::{FIND, PUBLISH, beside_a_reader, two_writers};

#[test]
fn a_reader_that_sees_an_entry_sees_its_contents() {
    let seen = beside_a_reader(None, 0);
    assert!(
        seen.into_iter()
            .eq([[false, false], [true, false], [true, true]])
    );
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_publication_is_caught() {
    beside_a_reader(Some(PUBLISH), 0);
}

/// The second publication must carry the first one's contents along: its store takes the place of
/// the one before.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_publication_after_a_good_one_is_caught() {
    beside_a_reader(Some(PUBLISH), 1);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_reader_is_caught() {
    beside_a_reader(Some(FIND), 0);
}

#[test]
fn writers_in_one_gate_lose_nothing() {
    two_writers(true);
}

#[test]
#[should_panic(expected = "a part was lost")]
fn writers_without_a_gate_are_caught() {
    two_writers(false);
}
