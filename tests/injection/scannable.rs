//! Scannable objects: the heap bitmap's memory is refused, and the request as a whole with it.

use archipelago::{AllocFlags, Window};
use archipelago_sim::SimGeometry;
use archipelago_testing::{layout, on_every_geometry, on_geometries_that_decommit};

use crate::case::{Case, LARGE, home, large, small};
use crate::sweep::{self, Scenario};
use crate::{inject, report};

fn untouched<G: SimGeometry>() -> Case<G> {
    Case::on(&[Window::new(home::<G>(), 4 * G::GEOMETRY.arena_bytes())])
}

fn with_a_small_object<G: SimGeometry>() -> Case<G> {
    let mut case = untouched();
    case.get(200, 8);
    case
}

/// A heap with one free page that is Ready, and without bitmap.
fn with_a_free_page<G: SimGeometry>() -> Case<G> {
    let mut case = untouched();
    case.get(G::GEOMETRY.page_bytes(), 8);
    case.get(200, 8);
    case.free_first();
    case
}

/// A heap whose lowest free pages have no memory.
fn with_scavenged_pages<G: SimGeometry>() -> Case<G> {
    let mut case = untouched();
    case.get(3 * LARGE, 8);
    case.get(200, 8);
    case.free_first();
    case.rig.heap.scavenge(usize::MAX).expect("not busy");
    case
}

/// A heap with scannable objects, and free pages before those that the next part of its bitmap
/// covers.
fn with_a_scannable_object<G: SimGeometry>() -> Case<G> {
    let mut case = untouched();
    case.allocate_scannable(small(), AllocFlags::empty())
        .expect("memory");
    case.get(200, 8);
    case
}

/// A heap with a scannable object, followed by the free pages that it can grow into, which several
/// parts of the bitmap cover, none of which is Ready. No other page is free and Ready.
fn with_free_pages_after<G: SimGeometry>() -> Case<G> {
    let mut case = untouched();
    case.allocate_scannable(large(), AllocFlags::empty())
        .expect("memory");
    let held = LARGE.next_multiple_of(G::GEOMETRY.page_bytes());
    case.get(long::<G>() - held, 8);
    case.get(200, 8);
    case.free(1);
    case
}

/// A heap as [`with_free_pages_after`] makes it, whose free pages have no memory.
fn with_scavenged_pages_after<G: SimGeometry>() -> Case<G> {
    let case = with_free_pages_after();
    case.rig.heap.scavenge(usize::MAX).expect("not busy");
    case
}

/// Bytes of an object that several parts of the bitmap cover.
fn long<G: SimGeometry>() -> usize {
    70 * G::GEOMETRY.page_bytes()
}

fn the_first_scannable_object<G: SimGeometry>() {
    inject!(
        untouched::<G>,
        |case| case.allocate_scannable(small(), AllocFlags::empty()),
        absorbs: true,
        grows: true
    );
}

fn a_scannable_object_beside_others<G: SimGeometry>() {
    inject!(
        with_a_small_object::<G>,
        |case| case.allocate_scannable(small(), AllocFlags::ZEROED),
        absorbs: true,
        grows: true
    );
}

fn a_scannable_object_in_a_free_page<G: SimGeometry>() {
    // Where a frame is missing, free pages have some: frames and limits cannot be scarce.
    let calls = sweep::calls(&Scenario {
        set_up: with_a_free_page::<G>,
        operate: |case| case.allocate_scannable(layout(400, 8), AllocFlags::empty()),
        absorbs: true,
        grows: true,
    });
    report(calls);
    assert!(calls >= 4, "the bitmap needs the machine");
}

fn a_large_scannable_object_in_scavenged_pages<G: SimGeometry>() {
    inject!(with_scavenged_pages::<G>, |case| case
        .allocate_scannable(large(), AllocFlags::empty()));
}

fn a_scannable_object_of_several_parts<G: SimGeometry>() {
    inject!(with_a_scannable_object::<G>, |case| {
        case.allocate_scannable(layout(long::<G>(), 8), AllocFlags::empty())
    }, absorbs: true, grows: true);
}

/// Where the bitmap of the following pages is refused, the object moves, or stays as it is.
fn a_scannable_object_that_grows<G: SimGeometry>() {
    // Where a frame is missing, free pages have some: frames and limits cannot be scarce.
    let calls = sweep::calls(&Scenario {
        set_up: with_free_pages_after::<G>,
        operate: |case| case.resize_first_scannable(long::<G>(), AllocFlags::empty()),
        absorbs: true,
        grows: true,
    });
    report(calls);
    assert!(calls >= 4, "the bitmap needs the machine");
}

fn a_scannable_object_that_grows_into_scavenged_pages<G: SimGeometry>() {
    inject!(
        with_scavenged_pages_after::<G>,
        |case| case.resize_first_scannable(long::<G>(), AllocFlags::ZEROED),
        absorbs: true,
        grows: true
    );
}

on_every_geometry!(
    the_first_scannable_object,
    a_scannable_object_beside_others,
    a_scannable_object_in_a_free_page,
    a_scannable_object_of_several_parts,
    a_scannable_object_that_grows,
);
on_geometries_that_decommit!(
    a_large_scannable_object_in_scavenged_pages,
    a_scannable_object_that_grows_into_scavenged_pages,
);
