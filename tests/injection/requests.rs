//! Requests of every kind, and changes of size.

use archipelago::{AllocFlags, Window};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, layout, on_every_geometry};

use crate::case::{Case, LARGE, home, large, small};
use crate::inject;
use crate::shortage::{self, Scarce};
use crate::sweep::{self, Scenario};

/// The window of these heaps: four arenas, with metadata at its far end.
fn four_arenas<G: SimGeometry>() -> Window {
    Window::new(home::<G>(), 4 * G::GEOMETRY.arena_bytes())
}

/// A heap without allocations.
fn untouched<G: SimGeometry>() -> Case<G> {
    Case::on(&[four_arenas::<G>()])
}

/// A heap with a large object, followed by free pages without memory.
fn with_a_large_object<G: SimGeometry>() -> Case<G> {
    let mut case = untouched();
    case.get(LARGE, 8);
    case
}

/// A heap whose large object is directly followed by another.
fn with_two_large_objects<G: SimGeometry>() -> Case<G> {
    let mut case = with_a_large_object();
    case.get(LARGE, 8);
    case
}

fn with_a_small_object<G: SimGeometry>() -> Case<G> {
    let mut case = untouched();
    case.get(200, 8);
    case
}

fn the_first_allocation<G: SimGeometry>() {
    // Where a whole span is refused, a shorter one may do.
    inject!(
        untouched::<G>,
        |case| case.allocate(small(), AllocFlags::empty()),
        absorbs: true
    );
}

fn a_small_object<G: SimGeometry>() {
    inject!(
        with_a_large_object::<G>,
        |case| case.allocate(small(), AllocFlags::empty()),
        absorbs: true
    );
}

fn a_large_object<G: SimGeometry>() {
    inject!(with_a_small_object::<G>, |case| {
        case.allocate(large(), AllocFlags::empty())
    });
}

fn a_run_of_pages<G: SimGeometry>() {
    inject!(with_a_small_object::<G>, |case| case.allocate_run(40));
}

fn with_a_run<G: SimGeometry>() -> Case<G> {
    let mut case = untouched();
    case.allocate_run(4).expect("memory");
    case
}

fn a_run_that_grows_over_pages_without_memory<G: SimGeometry>() {
    inject!(with_a_run::<G>, |case| case.extend_first_run(9));
}

fn an_object_aligned_to_a_page<G: SimGeometry>() {
    inject!(with_a_small_object::<G>, |case| {
        case.allocate(layout(100, G::GEOMETRY.page_bytes()), AllocFlags::empty())
    });
}

fn an_object_aligned_above_a_page<G: SimGeometry>() {
    inject!(with_a_small_object::<G>, |case| {
        let align = 16 * G::GEOMETRY.page_bytes();
        case.allocate(layout(100, align), AllocFlags::empty())
    });
}

fn an_object_aligned_above_an_arena<G: SimGeometry>() {
    inject!(with_a_small_object::<G>, |case| {
        let align = 2 * G::GEOMETRY.arena_bytes();
        case.allocate(layout(LARGE, align), AllocFlags::empty())
    });
}

fn a_small_zeroed_object<G: SimGeometry>() {
    inject!(
        with_a_large_object::<G>,
        |case| case.allocate(small(), AllocFlags::ZEROED),
        absorbs: true
    );
}

fn a_large_zeroed_object<G: SimGeometry>() {
    inject!(with_a_small_object::<G>, |case| {
        case.allocate(large(), AllocFlags::ZEROED)
    });
}

fn a_large_zeroed_object_of_zeroed_frames<G: SimGeometry>() {
    inject!(
        || {
            let machine = Sim::builder().zeroed_frames(true).build();
            Case::of(Rig::<G>::on(machine, &[four_arenas::<G>()]))
        },
        |case| case.allocate(large(), AllocFlags::ZEROED)
    );
}

/// Where the pages that follow the object cannot be had, it moves.
fn growing_in_place<G: SimGeometry>() {
    inject!(
        with_a_large_object::<G>,
        |case| case.resize_first(LARGE + 4 * G::GEOMETRY.page_bytes(), AllocFlags::empty()),
        absorbs: true
    );
}

fn growing_by_moving<G: SimGeometry>() {
    inject!(with_two_large_objects::<G>, |case| {
        let size = LARGE + 4 * G::GEOMETRY.page_bytes();
        case.resize_first(size, AllocFlags::ZEROED)
    });
}

fn a_small_object_that_becomes_a_large_one<G: SimGeometry>() {
    inject!(with_a_small_object::<G>, |case| {
        case.resize_first(LARGE, AllocFlags::empty())
    });
}

/// Shrinking below a class moves the object, or leaves it where it is: whatever fails, it shrinks.
fn a_large_object_that_becomes_a_small_one<G: SimGeometry>() {
    let scenario = Scenario {
        set_up: with_a_large_object::<G>,
        operate: |case| case.resize_first(24, AllocFlags::empty()),
        absorbs: true,
        grows: false,
    };
    let failures = sweep::calls(&scenario);
    assert!(failures >= 4, "it would move if it could");
    for scarce in [Scarce::Frames, Scarce::Limit] {
        let refusals = shortage::sweep(&scenario, scarce);
        assert_eq!(refusals, 0, "none but the absent memory is needed");
    }
}

/// A source that does not take frames back: the machine holds the frames that a failure returns.
fn a_large_object_whose_frames_are_not_taken_back<G: SimGeometry>() {
    inject!(
        || {
            let machine = Sim::builder().takes_back(false).build();
            Case::of(Rig::<G>::on(machine, &[four_arenas::<G>()]))
        },
        |case| case.allocate(large(), AllocFlags::empty())
    );
}

/// Frees, and changes of size that need no memory, never call the machine, so that nothing can fail
/// them.
fn frees_do_not_call_the_machine<G: SimGeometry>() {
    let mut case = untouched::<G>();
    let page = G::GEOMETRY.page_bytes();
    case.get(LARGE + 4 * page, 8);
    for size in [1, 24, 200, 2000, page, LARGE, LARGE + page] {
        case.get(size, 8);
        case.get(size, 2 * page);
    }
    let calls = case.rig.machine.calls();
    case.resize_first(LARGE, AllocFlags::empty())
        .expect("it shrinks in place");
    case.resize_first(LARGE + 3 * page, AllocFlags::empty())
        .expect("it grows into pages that have memory");
    while case.objects() > 0 {
        case.free_first();
        case.check();
    }
    assert_eq!(case.rig.machine.calls(), calls);
    case.finish();
}

on_every_geometry!(
    a_run_of_pages,
    the_first_allocation,
    a_small_object,
    a_large_object,
    an_object_aligned_to_a_page,
    an_object_aligned_above_a_page,
    an_object_aligned_above_an_arena,
    a_small_zeroed_object,
    a_large_zeroed_object,
    a_large_zeroed_object_of_zeroed_frames,
    growing_in_place,
    growing_by_moving,
    a_small_object_that_becomes_a_large_one,
    a_large_object_that_becomes_a_small_one,
    a_large_object_whose_frames_are_not_taken_back,
    frees_do_not_call_the_machine,
);

archipelago_testing::on_geometries_that_decommit!(a_run_that_grows_over_pages_without_memory);
