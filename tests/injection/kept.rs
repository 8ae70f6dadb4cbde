//! Scannable objects in pages that the heap keeps for reuse: the pages are found inside the gate,
//! where the bitmap that covers them can still be refused.

use archipelago::AllocFlags;
use archipelago_sim::SimGeometry;
use archipelago_testing::{layout, on_every_geometry};

use crate::case::{Case, home};
use crate::sweep::{self, Scenario};

/// Bytes of objects of which a page holds several, since the heap keeps spans of one page.
const BYTES: usize = 64;

/// A heap whose only free pages are those of a span without live slots.
fn with_a_kept_span<G: SimGeometry>() -> Case<G> {
    let window = archipelago::Window::new(home::<G>(), 4 * G::GEOMETRY.arena_bytes());
    let mut case = Case::on(&[window]);
    case.get(BYTES, 8);
    while case.rig.heap.stats().free_pages > 0 {
        case.get(G::GEOMETRY.page_bytes(), 8);
    }
    case.free_first();
    assert_eq!(case.rig.heap.stats().free_pages, 0, "it is kept");
    case
}

fn a_scannable_object_in_kept_pages<G: SimGeometry>() {
    let calls = sweep::calls(&Scenario {
        set_up: with_a_kept_span::<G>,
        operate: |case| case.allocate_scannable(layout(BYTES, 8), AllocFlags::empty()),
        absorbs: true,
        grows: true,
    });
    crate::report(calls);
    assert!(calls >= 4, "the bitmap needs the machine");
}

on_every_geometry!(a_scannable_object_in_kept_pages);
