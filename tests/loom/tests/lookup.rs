//! A lookup that finds a span sees what the span's record says.

use archipelago_loom::lookup::{Ready, SET, SPAN_AT, beside_a_reader};
use archipelago_loom::parts::{FIND, PUBLISH};

/// Outcomes of a lookup beside an entry: whether it finds the last page, and whether the first. The
/// last page is looked up first, and is entered last.
const OUTCOMES: [[bool; 2]; 3] = [[false, false], [false, true], [true, true]];

#[test]
fn a_lookup_that_finds_a_span_sees_its_record() {
    let found = beside_a_reader(Ready::Entries, None);
    assert!(found.into_iter().eq(OUTCOMES));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_entry_is_caught() {
    beside_a_reader(Ready::Entries, Some(SET));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_lookup_is_caught() {
    beside_a_reader(Ready::Entries, Some(SPAN_AT));
}

#[test]
fn a_lookup_beside_the_first_entry_finds_nothing_or_the_span() {
    let found = beside_a_reader(Ready::Nothing, None);
    assert!(found.into_iter().eq(OUTCOMES));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_publication_of_tables_is_caught() {
    beside_a_reader(Ready::Nothing, Some(PUBLISH));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_load_of_tables_is_caught() {
    beside_a_reader(Ready::Nothing, Some(FIND));
}
