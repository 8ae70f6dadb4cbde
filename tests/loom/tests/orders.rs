//! Every ordered access of the library that a model performs is one whose weakening a model
//! catches, or one that a lock orders.

use archipelago_loom::lookup::{self, Ready, SET, SPAN_AT};
use archipelago_loom::parts::{self, FIND, PUBLISH};
use archipelago_loom::withdrawal::{self, Rule};
use archipelago_loom::{Site, seen_outside_of};

/// Caught by the tests in the other files of this folder.
const CAUGHT: [Site; 4] = [PUBLISH, FIND, SET, SPAN_AT];

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

fn run_all(site: Option<Site>) {
    parts::beside_a_reader(site, 0);
    lookup::beside_a_reader(Ready::Entries, site);
    lookup::beside_a_reader(Ready::Nothing, site);
    withdrawal::beside_a_reader(Rule::Kept, site);
    withdrawal::beside_a_claim(Rule::Kept, site);
    withdrawal::refused_beside_a_reader(site);
}

#[test]
fn every_ordered_access_is_accounted_for() {
    run_all(None);
    let known = [CAUGHT, UNDER_A_LOCK].concat();
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
        .for_each(|site| run_all(Some(site)));
}
