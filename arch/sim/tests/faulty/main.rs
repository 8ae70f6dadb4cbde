//! Machines that break the contract are caught by the rule that they break.
//!
//! Each is a simulated machine with one flaw. Every rule of the suite catches at least one of them.
//! Under Miri some could not be: it stops at the memory that a flaw lets the suite touch.
#![cfg(all(target_pointer_width = "64", not(miri)))]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

extern crate alloc;

mod flaws;
mod machine;

use alloc::collections::BTreeSet;

use archipelago_conformance::Subject;

use crate::flaws::{CAUGHT, Flaw};
use crate::machine::{Faulty, window};

#[test]
fn every_flaw_is_caught_by_its_rule() {
    for &(flaw, rule, expected) in CAUGHT {
        let faulty = Faulty::new(flaw);
        let subject = Subject::new(&faulty, window());
        let subject = subject.exhaust(&faulty).contend(&faulty);
        let said = subject
            .check(rule)
            .expect_err(&format!("{rule} misses {flaw:?}"));
        assert!(said.contains(expected), "{rule} on {flaw:?}: {said}");
    }
}

#[test]
fn every_rule_catches_a_flaw_and_finds_none_where_none_is() {
    let sound = Faulty::new(Flaw::Nothing);
    let subject = Subject::new(&sound, window())
        .exhaust(&sound)
        .contend(&sound);
    let mut rules = BTreeSet::new();
    subject.run(&mut |rule, outcome| {
        assert_eq!(outcome, Ok(()), "{rule}");
        rules.insert(rule);
    });
    let catching: BTreeSet<_> = CAUGHT.iter().map(|&(_, rule, _)| rule).collect();
    assert_eq!(rules, catching);
}
