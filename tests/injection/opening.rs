//! Windows, and the hand-over from the early heap.

use archipelago::{AllocFlags, EarlyRegion, Heap, Window};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, on_every_geometry};

use crate::case::{Case, LARGE, metadata_window, small, window};
use crate::inject;
use crate::refusal::Refusal;

/// Bytes of the early heap.
const EARLY: usize = 4096;

fn unopened<G: SimGeometry>() -> Case<G> {
    Case::of(Rig::uninitialised(Sim::builder().build()))
}

/// A heap that is not initialised, with objects in its early region.
fn early<G: SimGeometry>() -> Case<G> {
    let region: &'static EarlyRegion<EARLY> = Box::leak(Box::new(EarlyRegion::new()));
    let mut case = Case::of(Rig {
        machine: Sim::<G>::builder().build(),
        heap: Box::new(Heap::with_early(region)),
    });
    for size in [100, 30, 500] {
        let layout = layout(size, 8);
        let memory = case.rig.heap.allocate(layout, AllocFlags::empty());
        let pointer = memory.expect("the early region has room").cast();
        case.adopt(Block {
            pointer,
            layout,
            bytes: size,
        });
    }
    case
}

fn three_windows<G: SimGeometry>() -> [Window; 3] {
    let arena = G::GEOMETRY.arena_pages();
    [
        window::<G>(3 * arena + 1, arena),
        window::<G>(0, arena / 2),
        window::<G>(5 * arena, 2 * arena),
    ]
}

fn init_with_one_window<G: SimGeometry>() {
    inject!(unopened::<G>, |case| {
        case.init(&[window::<G>(1, 2 * G::GEOMETRY.arena_pages())])
    });
}

fn init_with_three_windows<G: SimGeometry>() {
    inject!(unopened::<G>, |case| case.init(&three_windows::<G>()));
}

fn init_with_a_window_for_metadata<G: SimGeometry>() {
    inject!(unopened::<G>, |case| {
        case.init(&[window::<G>(1, 99), metadata_window::<G>()])
    });
}

/// A heap with `count` small windows and one for metadata.
fn with_windows<G: SimGeometry>(count: usize) -> Case<G> {
    let mut case = Case::<G>::on(&[window::<G>(0, 3), metadata_window::<G>()]);
    for number in 1..count {
        assert_eq!(case.add_window(window::<G>(4 * number, 3)), Ok(()));
    }
    case
}

/// Windows that a heap can have before the next one needs more metadata than there is in stock.
fn windows_in_stock<G: SimGeometry>() -> usize {
    let mut case = with_windows::<G>(1);
    let ready = case.rig.heap.stats().mapped_ready;
    let mut count = 1;
    while case.rig.heap.stats().mapped_ready == ready {
        assert_eq!(case.add_window(window::<G>(4 * count, 3)), Ok(()));
        count += 1;
    }
    count - 1
}

/// The arrays of ranges are full, and the metadata that they need to grow is not in stock.
fn a_window_for_which_the_ranges_have_no_room<G: SimGeometry>() {
    inject!(|| with_windows::<G>(windows_in_stock::<G>()), |case| case
        .add_window(window::<G>(4 * windows_in_stock::<G>(), 3)));
}

/// Reserving a window is all that can fail where the ranges have room.
fn add_window<G: SimGeometry>() {
    let added = |case: &mut Case<G>| -> Result<(), Refusal> {
        case.add_window(window::<G>(4 * G::GEOMETRY.arena_pages(), 50))
    };
    let scenario = crate::sweep::Scenario {
        set_up: || {
            let mut case = Case::on(&[window::<G>(0, G::GEOMETRY.arena_pages())]);
            case.get(100, 8);
            case
        },
        operate: added,
        absorbs: false,
        grows: false,
    };
    let injected = crate::sweep::calls(&scenario);
    crate::report(injected);
    assert_eq!(injected, 4, "one call, failing in every way");
}

fn init_with_objects_in_the_early_heap<G: SimGeometry>() {
    inject!(early::<G>, |case| case.init(&three_windows::<G>()));
}

/// An early object that grows moves to the heap.
fn an_early_object_that_moves<G: SimGeometry>() {
    inject!(
        || {
            let mut case = early::<G>();
            assert_eq!(case.init(&three_windows::<G>()), Ok(()), "good windows");
            case
        },
        |case| case.resize_first(LARGE, AllocFlags::empty())
    );
}

/// New objects come from the heap, although the early region has room.
fn the_first_object_after_the_hand_over<G: SimGeometry>() {
    inject!(
        || {
            let mut case = early::<G>();
            assert_eq!(case.init(&three_windows::<G>()), Ok(()), "good windows");
            case
        },
        |case| case.allocate(small(), AllocFlags::empty()),
        absorbs: true
    );
}

on_every_geometry!(
    init_with_one_window,
    init_with_three_windows,
    init_with_a_window_for_metadata,
    a_window_for_which_the_ranges_have_no_room,
    add_window,
    init_with_objects_in_the_early_heap,
    an_early_object_that_moves,
    the_first_object_after_the_hand_over,
);
