//! Scannable objects at the addresses where arithmetic breaks.

use archipelago::bits::PointerMap;
use archipelago_sim::SimGeometry;
use archipelago_testing::{on_every_geometry, placements};

use crate::subject::{POINTER, SIX, Subject};

/// Two pointers, and a long tail of numbers.
const SPARSE: PointerMap<'_> = PointerMap::from_mask(301, 0b1001);

/// Small objects, and large ones that straddle arenas up to the end of each window.
fn objects_in_every_placement<G: SimGeometry>() {
    let arena = G::GEOMETRY.arena_bytes();
    for placement in placements::<G>(2 * arena + arena / 2) {
        println!("{}", placement.name);
        let mut subject = Subject::<G>::on(&placement.windows);
        if let Some(window) = placement.later {
            subject.rig.heap.add_window(window).expect("a good window");
        }
        subject.array(&SIX, 3);
        // Objects of a third of an arena each, as many as there is room for.
        let count = arena / 3 / Subject::<G>::WORD / SPARSE.words();
        let mut fitted = 0;
        while subject.try_array(&SPARSE, count).is_ok() {
            fitted += 1;
        }
        assert!(fitted > 1, "there is room for some");
        for _ in 0..1000 {
            if subject.try_array(&POINTER, 40).is_err() {
                break;
            }
        }
        subject.check();
        for index in (0..subject.live.len()).rev().step_by(2) {
            subject.free(index);
        }
        subject.check();
    }
}

/// An array over several arenas.
fn an_array_over_arenas<G: SimGeometry>() {
    let arena = G::GEOMETRY.arena_bytes();
    let mut subject = Subject::<G>::new();
    subject.plain(100);
    let words = (2 * arena + arena / 4) / Subject::<G>::WORD;
    subject.array(&SPARSE, words / SPARSE.words());
    subject.array(&POINTER, 3);
    subject.check();
}

on_every_geometry!(objects_in_every_placement, an_array_over_arenas);
