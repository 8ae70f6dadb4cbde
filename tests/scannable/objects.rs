//! Objects of every class: described, found, freed, allocated again.

use archipelago::bits::{Description, PointerMap};
use archipelago::{AllocFlags, Cause, VirtAddr};
use archipelago_sim::SimGeometry;
use archipelago_testing::{layout, on_every_geometry, on_geometries_that_decommit};

use crate::subject::{POINTER, SIX, Subject};

/// A slot that was freed is handed out again, with other bits or with none.
fn a_slot_forgets_its_object<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    for words in [1, 2, 3, 4, 6, 9, 17, 40, 100, 1000] {
        for _ in 0..5 {
            subject.array(&POINTER, words);
        }
        subject.check();
        let freed = subject.live.len() - 1;
        let base = subject.rig.address(subject.live[freed].block);
        subject.free(freed);
        subject.check();
        let short: PointerMap<'_> = PointerMap::from_mask(words, 1);
        let again = subject.array(&short, 1).block;
        if words < 100 {
            assert_eq!(subject.rig.address(again), base, "the lowest free slot");
        }
        subject.check();
        subject.plain(words * Subject::<G>::WORD);
        subject.check();
    }
    while !subject.live.is_empty() {
        subject.free(0);
    }
    subject.check();
}

/// Objects without pointers commit no bitmap memory, however they are allocated.
fn without_pointers_there_is_no_bitmap<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    for bytes in [8, 24, 200, 3000, 50_000] {
        subject.plain(bytes);
        let none: PointerMap<'_> = PointerMap::from_mask(bytes / Subject::<G>::WORD, 0);
        subject.array(&none, 1);
    }
    assert_eq!(subject.bits(), 0);
    subject.check();
}

/// Any address in a live object leads to that object, any other address to none.
fn interior_addresses_lead_to_objects<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    for words in [3, 20, 6000] {
        subject.array(&POINTER, words);
        subject.plain(words * Subject::<G>::WORD);
    }
    let heap = &subject.rig.heap;
    for (index, live) in subject.live.iter().enumerate() {
        let base = subject.rig.address(live.block);
        for at in [0, 1, live.block.layout.size() - 1, live.block.bytes - 1] {
            let address = VirtAddr::new(base.value() + at);
            let object = heap.object_at(address).expect("a live object");
            assert_eq!((object.base, object.bytes), (base, live.block.bytes));
            assert_eq!(object.is_scannable, index % 2 == 0);
        }
        let outside = heap.object_at(VirtAddr::new(base.value() + live.block.bytes));
        assert!(outside.is_none_or(|object| object.base != base));
    }
    let (first, freed) = (
        subject.live[0].block.pointer,
        subject.rig.address(subject.live[0].block),
    );
    assert_eq!(heap.object_of(first), heap.object_at(freed));
    assert!(heap.object_of(first).is_some());
    subject.free(0);
    let heap = &subject.rig.heap;
    assert_eq!(heap.object_at(freed), None);
    assert_eq!(heap.object_of(first), None);
    assert_eq!(
        heap.object_of(core::ptr::NonNull::from(&subject).cast()),
        None
    );
    let top = VirtAddr::new(usize::MAX);
    assert_eq!(heap.object_at(top), None);
    assert_eq!(heap.object_at(VirtAddr::new(0)), None);
}

/// A request that cannot be described is refused, and leaves nothing.
fn descriptions_are_checked<G: SimGeometry>() {
    let subject = Subject::<G>::new();
    let heap = &subject.rig.heap;
    let small = layout(64, 8);
    let long = Description::array(&SIX, 1000);
    let refused = heap.allocate_scannable(small, &long, AllocFlags::empty());
    let bytes = 6000 * Subject::<G>::WORD;
    let cause = Cause::Description { bytes, room: 64 };
    assert_eq!(refused.map_err(|error| error.cause), Err(cause));
    subject.check();
}

/// A change of size needs a description.
fn reallocation_takes_a_new_description<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    subject.array(&SIX, 3);
    let block = subject.live[0].block;
    let refused = subject.rig.resize(block, 1000, AllocFlags::empty());
    assert_eq!(refused.map_err(|error| error.cause), Err(Cause::Scannable));
    subject.check();
    for (map, count) in [
        (&POINTER, 18),
        (&SIX, 3),
        (&SIX, 4000),
        (&SIX, 10),
        (&POINTER, 1),
    ] {
        subject.resize(0, map, count);
        subject.check();
    }
    subject.plain(100);
    subject.resize(1, &POINTER, 20);
    subject.check();
}

/// A million elements, with neighbours on both sides. Where the four arenas of the heap are smaller
/// than that, as many elements as one and a half arenas hold: 24,576 with arenas of 64 KiB and
/// words of 4 bytes. `bits::tests::long` lays out a million with words of either length.
fn a_long_array<G: SimGeometry>() {
    let arena = G::GEOMETRY.arena_bytes();
    let count = (1_000_000).min(3 * arena / 2 / Subject::<G>::WORD);
    let mut subject = Subject::<G>::new();
    subject.array(&POINTER, 5);
    subject.array(&POINTER, count);
    subject.array(&SIX, 7);
    subject.check();
    let before = subject.bits();
    subject.free(1);
    assert!(subject.bits() < before);
    subject.check();
}

on_every_geometry!(
    a_slot_forgets_its_object,
    without_pointers_there_is_no_bitmap,
    interior_addresses_lead_to_objects,
    descriptions_are_checked,
    reallocation_takes_a_new_description,
    a_long_array,
);

/// A part of the bitmap becomes idle with its spans. Its memory is given back when that is asked
/// for, but never while a reader uses it.
fn memory_is_given_back<G: SimGeometry>() {
    memory_of_arrays_is_given_back::<G>(&[40_000, 3, 5000, 100]);
    memory_of_arrays_is_given_back::<G>(&[3, 5000, 100, 40_000]);
}

fn memory_of_arrays_is_given_back<G: SimGeometry>(arrays: &[usize]) {
    let mut subject = Subject::<G>::new();
    subject.plain(100);
    subject.rig.heap.scavenge(usize::MAX).expect("not busy");
    let before = subject.rig.heap.stats().mapped_ready;
    for words in arrays {
        subject.array(&POINTER, *words);
    }
    while subject.live.len() > 1 {
        subject.free(1);
    }
    let view = subject.rig.heap.bits();
    subject.rig.heap.scavenge(usize::MAX).expect("not busy");
    subject.check();
    assert_eq!(subject.bits(), 0);
    let read = subject.rig.heap.stats().mapped_ready;
    drop(view);
    subject.rig.heap.scavenge(usize::MAX).expect("not busy");
    subject.check();
    let after = subject.rig.heap.stats().mapped_ready;
    assert!(after < read, "idle parts went when the reader had");
    let page = G::GEOMETRY.page_bytes();
    assert!(after - before <= 4 * page, "{before} bytes became {after}");
}

on_geometries_that_decommit!(memory_is_given_back);
