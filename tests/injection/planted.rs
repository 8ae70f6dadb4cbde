//! Operations that break the rules on purpose: the harness has to notice each.

use archipelago::{AllocFlags, Cause, Machine};
use archipelago_api::Patience;
use archipelago_sim::{Plain32, SimGeometry, State};
use archipelago_testing::layout;

use crate::case::{Case, large, window};
use crate::refusal::Refusal;
use crate::shortage::{self, Scarce};
use crate::snapshot::Snapshot;
use crate::sweep::{self, Scenario};

fn set_up() -> Case<Plain32> {
    let mut case = Case::on(&[window::<Plain32>(0, 4 * Plain32::GEOMETRY.arena_pages())]);
    case.get(100, 8);
    case
}

fn allocate(case: &mut Case<Plain32>) -> Result<(), Refusal> {
    case.allocate(large(), AllocFlags::empty())
}

/// Runs the harness on an operation that does `harm` whenever it is refused.
fn run(operate: fn(&mut Case<Plain32>) -> Result<(), Refusal>) {
    sweep::calls(&Scenario {
        set_up,
        operate,
        absorbs: false,
        grows: false,
    });
}

/// The first range in `state`, a page of it.
fn a_page_that_is(case: &Case<Plain32>, state: State) -> archipelago::VirtRange {
    let ranges = case.rig.machine.ranges();
    let found = ranges.into_iter().find(|(_, found)| *found == state);
    let (range, _) = found.expect("there is such memory");
    let page = Plain32::GEOMETRY.page_bytes();
    let last = range.last().expect("a range is not empty");
    // The last page of the range: the heap uses the first ones first.
    archipelago::VirtRange::new(last.align_down(page), page).expect("inside the range")
}

#[test]
#[should_panic(expected = "spans")]
fn an_object_that_is_lost() {
    run(|case| {
        allocate(case).inspect_err(|_| {
            let lost = case.rig.allocate(layout(100, 8), AllocFlags::ATOMIC);
            assert!(lost.is_ok(), "the span of the first object has room");
        })
    });
}

#[test]
#[should_panic(expected = "frames taken and not returned")]
fn a_machine_that_commits_half() {
    run(|case| {
        allocate(case).inspect_err(|_| {
            let range = a_page_that_is(case, State::Prepared);
            // SAFETY: the range is Prepared, and is not used.
            let committed = unsafe { case.rig.machine.commit(range, Patience::Wait) };
            assert!(committed.is_ok());
        })
    });
}

#[test]
#[should_panic(expected = "Prepared")]
fn a_machine_that_prepares_half() {
    run(|case| {
        allocate(case).inspect_err(|_| {
            let range = a_page_that_is(case, State::Reserved);
            // SAFETY: the range is Reserved, and is not used.
            let prepared = unsafe { case.rig.machine.prepare(range, Patience::Wait) };
            assert!(prepared.is_ok());
        })
    });
}

#[test]
#[should_panic(expected = "is damaged")]
fn an_object_that_is_overwritten() {
    run(|case| {
        allocate(case).inspect_err(|_| {
            let victim = case.last();
            // SAFETY: the object is live and the test's.
            unsafe { victim.pointer.write(0x5a) };
        })
    });
}

#[test]
#[should_panic(expected = "pages stay")]
fn pages_that_are_left_over() {
    run(|case| {
        allocate(case).inspect_err(|_| {
            let grown = case.rig.get(2 * Plain32::GEOMETRY.chunk_bytes(), 8);
            case.rig.free(grown);
        })
    });
}

/// Metadata that was made since the first refusal.
#[test]
#[should_panic(expected = "a hundred refusals leave more than one")]
fn stock_that_grows_after_the_first_refusal() {
    let case = set_up();
    let once = Snapshot::settled(&case);
    Snapshot::settled(&case).assert_no_more_than(&once);
    let object = case.rig.get(2 * Plain32::GEOMETRY.arena_bytes(), 8);
    case.rig.free(object);
    Snapshot::settled(&case).assert_no_more_than(&once);
}

#[test]
#[should_panic(expected = "a failure was lost")]
fn a_failure_that_is_swallowed() {
    run(|case| allocate(case).or(Ok(())));
}

#[test]
#[should_panic(expected = "NotInitialised")]
fn an_error_that_is_not_documented() {
    run(|case| allocate(case).map_err(|_| Refusal::Reserve(Cause::NotInitialised)));
}

#[test]
#[should_panic(expected = "the same operation, with nothing failing")]
fn a_heap_that_refuses_for_ever() {
    run(|case| allocate(case).inspect_err(|_| case.rig.heap.set_limit(0)));
}

#[test]
#[should_panic(expected = "NotInitialised")]
fn a_shortage_with_a_wrong_error() {
    let scenario = Scenario {
        set_up,
        operate: |case| allocate(case).map_err(|_| Refusal::Reserve(Cause::NotInitialised)),
        absorbs: false,
        grows: false,
    };
    shortage::sweep(&scenario, Scarce::Frames);
}
