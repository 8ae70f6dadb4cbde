//! The block of a CPU that is offline is entered by one at a time.

use archipelago_loom::Site;
use archipelago_loom::visits::{
    Rule, after_a_visit, beside_a_cpu_that_comes_and_goes, two_visits, two_visits_beside_a_cpu,
};

const fn in_outside(function: &'static str) -> Site {
    Site {
        file: "src/span/owned/outside.rs",
        function,
    }
}

#[test]
fn the_cpu_or_another_is_inside() {
    let outcomes = beside_a_cpu_that_comes_and_goes(Rule::Kept, None);
    let all = [(false, true), (true, false), (true, true)];
    assert!(all.into_iter().all(|one| outcomes.contains(&one)));
}

#[test]
fn a_cpu_that_comes_finds_its_block_as_it_was_left() {
    let outcomes = after_a_visit(Rule::Kept, None);
    assert!(outcomes.into_iter().eq([false, true]));
}

#[test]
fn two_others_enter_one_after_the_other() {
    let outcomes = two_visits(Rule::Kept, None);
    let all = [(false, true), (true, false), (true, true)];
    assert!(outcomes.into_iter().eq(all));
}

#[test]
fn two_others_enter_one_after_the_other_while_the_cpu_comes_and_goes() {
    two_visits_beside_a_cpu(Rule::Kept, 2);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn two_others_that_enter_at_once_are_caught() {
    two_visits_beside_a_cpu(Rule::NotOneAtATime, 3);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_cpu_that_comes_without_a_fence_is_caught() {
    beside_a_cpu_that_comes_and_goes(Rule::NoFence, None);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_cpu_that_goes_without_order_is_caught() {
    beside_a_cpu_that_comes_and_goes(Rule::LeftWithoutOrder, None);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_visit_without_a_fence_is_caught() {
    beside_a_cpu_that_comes_and_goes(Rule::Kept, Some(in_outside("enter_from_outside")));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_return_without_a_fence_is_caught() {
    after_a_visit(Rule::Kept, Some(in_outside("come_back")));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_visit_that_ends_without_order_is_caught() {
    after_a_visit(Rule::Kept, Some(in_outside("leave_drained")));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_visit_after_another_without_a_fence_is_caught() {
    two_visits(Rule::NotOneAtATime, Some(in_outside("enter_from_outside")));
}
