//! Every ordered access of the library that a model performs is one whose weakening a model
//! catches, or one that a lock orders.

use archipelago_loom::hand_over;
use archipelago_loom::lookup::{self, Ready, SET, SPAN_AT};
use archipelago_loom::parts::{self, FIND, PUBLISH};
use archipelago_loom::remote_frees::{self, Slots};
use archipelago_loom::visits;
use archipelago_loom::withdrawal::{self, Rule};
use archipelago_loom::{Site, seen_outside_of};

/// Caught by the tests in the other files of this folder.
const CAUGHT: [Site; 17] = [
    PUBLISH,
    FIND,
    SET,
    SPAN_AT,
    in_atomics("set_in_word"),
    in_atomics("keep_in_word"),
    in_atomics("set_in_mask"),
    in_atomics("swap_mask"),
    in_atomics("set_in_number"),
    in_atomics("keep_in_number"),
    in_atomics("swap_number"),
    in_atomics("replace"),
    in_atomics("swap_flag"),
    in_outside("enter_from_outside"),
    in_outside("come_back"),
    in_outside("leave_drained"),
    Site {
        file: "src/span/owned/block.rs",
        function: "drop",
    },
];

/// Ordered by the gate, which serialises writers, or by the bitmap's lock: whoever sees what they
/// store, or stores what they see, has held it since.
const UNDER_A_LOCK: [Site; 4] = [
    in_sparse("has_part"),
    in_sparse("block_base"),
    in_sparse("take_part_back"),
    in_sparse("give_part_again"),
];

const fn in_sparse(function: &'static str) -> Site {
    Site {
        file: "src/base/sparse.rs",
        function,
    }
}

const fn in_outside(function: &'static str) -> Site {
    Site {
        file: "src/span/owned/outside.rs",
        function,
    }
}

const fn in_atomics(function: &'static str) -> Site {
    Site {
        file: "src/span/owned/atomics.rs",
        function,
    }
}

/// Runs the models of tables and of the heap bitmap.
fn run_tables(site: Option<Site>) {
    parts::beside_a_reader(site, 0);
    lookup::beside_a_reader(Ready::Entries, site);
    lookup::beside_a_reader(Ready::Nothing, site);
    withdrawal::beside_a_reader(Rule::Kept, site);
    withdrawal::beside_a_claim(Rule::Kept, site);
    withdrawal::refused_beside_a_reader(site);
}

/// Runs the models of spans that go from CPU to CPU.
fn run_hand_over(site: Option<Site>) {
    hand_over::beside_a_free(hand_over::Rule::Kept, site);
    hand_over::from_outside(hand_over::Rule::Kept, site);
}

#[test]
fn every_ordered_access_is_accounted_for() {
    run_tables(None);
    run_hand_over(None);
    visits::after_a_visit(visits::Rule::Kept, None);
    for slots in [Slots::OfOneWord, Slots::OfTwoWords] {
        remote_frees::beside_the_owner(slots, remote_frees::Rule::Kept, None);
    }
    let known = [CAUGHT.as_slice(), &UNDER_A_LOCK].concat();
    assert_eq!(seen_outside_of(&known), [""; 0]);
    for left_out in 0..known.len() {
        let mut fewer = known.clone();
        let site = fewer.remove(left_out);
        assert!(
            !seen_outside_of(&fewer).is_empty(),
            "no model performs {site:?}"
        );
    }
}

#[test]
fn the_locks_are_enough_where_they_are_held() {
    UNDER_A_LOCK
        .into_iter()
        .for_each(|site| run_tables(Some(site)));
}
