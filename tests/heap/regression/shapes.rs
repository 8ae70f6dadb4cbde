//! Shapes of machines and windows that no other test has.

use archipelago::{Heap, InitError, Window, WindowRule};
use archipelago_api::{Geometry, IndexWord};
use archipelago_sim::{Hosted, Plain32, Sim, SimGeometry};
use archipelago_testing::{Rig, lone_window};

/// A small part with the smallest pages that there are classes for.
struct Tiny;

impl SimGeometry for Tiny {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 20,
        base: 0,
        granule_shift: 8,
        page_shift: 8,
        chunk_shift: 13,
        arena_shift: 14,
        index_root_shift: 0,
        index_table_shift: 6,
    };
    type IndexRoot = [IndexWord; 1];
    const TABLE_SHIFTS: &'static [u32] = &[];
}

/// Metadata in pieces of more than a page and of no whole number of pages.
#[test]
fn a_piece_of_metadata_longer_than_a_page_is_charged_as_long_as_it_is() {
    let rig = Rig::<Tiny>::new();
    rig.heap.set_reserve(2).expect("there is memory");
    rig.verify();
    rig.check();
}

#[test]
fn one_window_is_kept_for_metadata_and_it_comes_with_init() {
    let objects = lone_window::<Plain32>(16 << 20);
    let kept = |number: usize| Window::for_metadata(objects.base + (number << 24), 1 << 20);
    let heap: Heap<Sim<Plain32>, Hosted> = Heap::new();
    let refused = heap.init(&[kept(1), objects, kept(2)], Sim::default());
    let error = refused.expect_err("two windows for metadata").error;
    let rule = WindowRule::SecondForMetadata;
    assert_eq!(
        error,
        InitError::Window {
            window: kept(2),
            rule
        }
    );

    let rig = Rig::<Plain32>::on(Sim::default(), &[kept(1), objects]);
    let before = rig.machine.ranges();
    let refused = rig.heap.add_window(kept(2));
    assert_eq!(
        refused,
        Err(InitError::Window {
            window: kept(2),
            rule
        })
    );
    assert_eq!(rig.machine.ranges(), before);
    rig.verify();
}
