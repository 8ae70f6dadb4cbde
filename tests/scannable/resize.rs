//! Scannable objects that grow and shrink in place.

use archipelago::{AllocFlags, Cause};
use archipelago_sim::SimGeometry;
use archipelago_testing::{Rig, on_every_geometry, on_geometries_that_decommit};

use crate::subject::{POINTER, SIX, Subject};

const NONE: AllocFlags = AllocFlags::empty();

/// Pages of the object at first, all covered by one or two parts of the bitmap.
const FEW: usize = 16;
/// Pages for the parts of the bitmap that cover such an object, and more.
const PARTS: usize = 24;
/// Free pages that follow the object, covered by other parts.
const ROOM: usize = 150;

/// Elements of one pointer that fill `pages` pages.
fn elements<G: SimGeometry>(pages: usize) -> usize {
    pages * Rig::<G>::PAGE / Subject::<G>::WORD
}

/// A scannable object followed by free pages, and another object after those.
fn with_free_pages_after<G: SimGeometry>() -> Subject<G> {
    let mut subject = Subject::new();
    let page = Rig::<G>::PAGE;
    let room = subject.rig.get((FEW + ROOM) * page, 8);
    let _ = subject.rig.get(FEW * page, 8);
    // Free pages above, for the bitmap.
    let above = subject.rig.get(PARTS * page, 8);
    let _ = subject.rig.get(page, 8);
    subject.rig.free(above);
    subject.rig.free(room);
    subject.array(&POINTER, elements::<G>(FEW));
    assert_eq!(subject.live[0].block.pointer, room.pointer, "the lowest");
    subject.check();
    subject
}

fn a_large_object_grows_and_shrinks_in_place<G: SimGeometry>() {
    let mut subject = with_free_pages_after::<G>();
    let start = subject.live[0].block.pointer;
    let few = subject.bits();
    for pages in [FEW + 1, 100, FEW + ROOM] {
        let block = subject.live[0].block;
        block.fill(7);
        subject.resize(0, &POINTER, elements::<G>(pages));
        let grown = subject.live[0].block;
        assert_eq!(
            (grown.pointer, grown.bytes),
            (start, pages * Rig::<G>::PAGE)
        );
        assert_eq!(
            grown.find_damage(7, block.layout.size()),
            None,
            "nothing is lost"
        );
        subject.check();
    }
    let many = subject.bits();
    assert!(many > few, "more pages have more bitmap in front");
    for pages in [70, FEW] {
        subject.resize(0, &SIX, elements::<G>(pages) / SIX.words());
        assert_eq!(subject.live[0].block.pointer, start);
        subject.check();
    }
    assert_eq!(subject.bits(), few, "pages that it gave back have none");
    // The next object there does not inherit a bit.
    subject.plain(ROOM * Rig::<G>::PAGE);
    subject.check();
    while !subject.live.is_empty() {
        subject.free(0);
    }
    assert_eq!(subject.bits(), 0);
    subject.check();
}

/// Where nothing may become Ready, an object grows only into pages whose bitmap is Ready.
fn without_growth_it_needs_bitmap_that_is_ready<G: SimGeometry>() {
    let mut subject = with_free_pages_after::<G>();
    let all = elements::<G>(FEW + ROOM);
    let refused = subject.try_resize(0, &POINTER, all, AllocFlags::NO_GROW);
    let cause = refused.expect_err("no bitmap").cause;
    assert!(matches!(cause, Cause::NotReady { .. }), "{cause}");
    subject.check();
    subject.resize(0, &POINTER, all);
    subject.resize(0, &POINTER, elements::<G>(FEW));
    let start = subject.live[0].block.pointer;
    let again = subject.try_resize(0, &POINTER, all, AllocFlags::NO_GROW);
    assert_eq!(again, Ok(()), "idle parts are ready");
    assert_eq!(subject.live[0].block.pointer, start);
    subject.check();
}

/// An object that begins or ceases to be described moves to a span of the other kind.
fn it_moves_to_be_described_and_not_to_be<G: SimGeometry>() {
    const NUMBERS: archipelago::bits::PointerMap<'_> =
        archipelago::bits::PointerMap::from_mask(1, 0);
    let mut subject = with_free_pages_after::<G>();
    let count = elements::<G>(FEW);
    let start = subject.live[0].block.pointer;
    subject.resize(0, &NUMBERS, count);
    assert_ne!(subject.live[0].block.pointer, start);
    assert_eq!(subject.bits(), 0);
    subject.check();
    subject.resize(0, &POINTER, count);
    assert!(subject.bits() > 0);
    subject.check();
}

on_every_geometry!(
    a_large_object_grows_and_shrinks_in_place,
    without_growth_it_needs_bitmap_that_is_ready,
    it_moves_to_be_described_and_not_to_be,
);

/// Following pages without memory are committed, and are zero where that was asked for.
fn it_grows_into_scavenged_pages<G: SimGeometry>() {
    let mut subject = with_free_pages_after::<G>();
    subject.rig.heap.scavenge(usize::MAX).expect("not busy");
    let start = subject.live[0].block.pointer;
    let refused = subject.try_resize(0, &POINTER, elements::<G>(100), AllocFlags::NO_GROW);
    assert!(refused.is_err(), "nothing is ready");
    subject
        .try_resize(0, &POINTER, elements::<G>(100), AllocFlags::ZEROED)
        .expect("memory");
    let grown = subject.live[0].block;
    assert_eq!(grown.pointer, start);
    assert_eq!(
        grown.find_dirt(FEW * Rig::<G>::PAGE),
        None,
        "the new part is zero"
    );
    subject.check();
    let refused = subject.try_resize(
        0,
        &POINTER,
        elements::<G>(1 << 30 >> G::GEOMETRY.page_shift),
        NONE,
    );
    assert!(refused.is_err(), "there is no window for that");
    subject.check();
}

on_geometries_that_decommit!(it_grows_into_scavenged_pages);
