//! Readers: objects by any address, cursors anywhere, parts of the bitmap.

use archipelago::bits::PointerMap;
use archipelago::{BitsPartView, VirtAddr};
use archipelago_sim::SimGeometry;
use archipelago_testing::{Rig, lone_window, on_every_geometry, on_geometries_that_decommit};

use crate::subject::{POINTER, Subject};

/// Every byte of a span leads to its slot if that is live, and to none otherwise: in a free slot,
/// or in the tail after the last slot.
fn every_byte_of_a_span_leads_to_its_slot<G: SimGeometry>() {
    let step = if cfg!(miri) { 61 } else { 1 };
    for words in [1, 3, 6, 40, 90] {
        let mut subject = Subject::<G>::new();
        subject.array(&POINTER, words);
        let heap = &subject.rig.heap;
        let mut shown = None;
        heap.for_each_span(|span| shown = shown.or(span.is_scannable.then_some(span)));
        let span = shown.expect("the object's");
        for _ in 1..span.slots {
            subject.array(&POINTER, words);
        }
        for gone in [1, span.slots / 2] {
            if gone < subject.live.len() {
                subject.free(gone);
            }
        }
        let bases = subject
            .live
            .iter()
            .map(|live| subject.rig.address(live.block));
        let bases: Vec<VirtAddr> = bases.collect();
        let heap = &subject.rig.heap;
        for at in (0..span.bytes).step_by(step) {
            let address = VirtAddr::new(span.base.value() + at);
            let slot = at / span.slot_bytes;
            let base = VirtAddr::new(span.base.value() + slot * span.slot_bytes);
            let found = heap.object_at(address);
            let found = found.map(|object| (object.base, object.slot, object.bytes));
            let expected = bases
                .contains(&base)
                .then_some((base, slot, span.slot_bytes));
            assert_eq!(found, expected, "byte {at} of a span of {words} words");
        }
    }
}

/// An object without pointers has no pointer words, also where a scannable one was before.
fn there_is_nothing_to_read_in_plain_objects<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    for pages in [0, 20] {
        let words = 5 + pages * Rig::<G>::PAGE / Subject::<G>::WORD;
        subject.array(&POINTER, words);
        subject.plain(words * Subject::<G>::WORD);
        let bits = subject.rig.heap.bits();
        let [scannable, plain] = [2, 1].map(|from_last| {
            let live = &subject.live[subject.live.len() - from_last];
            let object = subject.rig.heap.object_at(subject.rig.address(live.block));
            bits.pointer_words(object.expect("it is live"))
                .map(Iterator::count)
        });
        assert_eq!((scannable, plain), (Some(words), None));
    }
}

fn parts<G: SimGeometry>(subject: &Subject<G>) -> Vec<BitsPartView> {
    let mut parts = Vec::new();
    subject.rig.heap.for_each_bits_part(|part| parts.push(part));
    parts
}

/// A cursor has bits where a part is Ready and nowhere else, from arena to arena and up to the end
/// of the space.
fn a_cursor_has_bits_where_parts_are_ready<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    let (arena, word) = (G::GEOMETRY.arena_bytes(), Subject::<G>::WORD);
    subject.array(&POINTER, 3);
    subject.plain(arena);
    subject.array(&POINTER, 3);
    subject.array(&POINTER, arena / 3 / word);
    let parts = parts(&subject);
    let bytes = 4 * word * Rig::<G>::PAGE;
    let is_ready = |address: VirtAddr| {
        let base = address.align_down(bytes);
        parts.iter().any(|part| part.base == base && part.is_ready)
    };
    let bits = subject.rig.heap.bits();
    let start = parts.first().expect("there are some").base;
    let mut cursor = bits.at(start).expect("in the space");
    let mut seen = [0, 0];
    // Steps that meet every part, each at another word of it.
    let step = bytes / word / 3 + 1;
    while let Some(address) = cursor.address() {
        if address.value() - start.value() > 5 * arena {
            break;
        }
        assert_eq!(cursor.entry().is_some(), is_ready(address), "at {address}");
        seen[usize::from(is_ready(address))] += 1;
        let (edge, count) = cursor.forward_or_boundary(step);
        assert!((1..=step).contains(&count));
        assert_eq!(edge.address(), cursor.forward(count).address());
        assert_eq!(edge.entry(), cursor.forward(count).entry());
        cursor = cursor.forward(step);
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
}

/// Parts are listed once each, lowest first, whatever ranges of an arena the heap owns. Those that
/// are needed add up to the account.
fn parts_are_shown_once<G: SimGeometry>() {
    let arena = G::GEOMETRY.arena_bytes();
    let page = Rig::<G>::PAGE;
    let window = lone_window::<G>(2 * arena);
    let mut subject = Subject::<G>::on(&[window]);
    // Three windows in the arenas of the first two, with holes in between, and one far away.
    let end = window.base + window.bytes;
    for (base, bytes) in [
        (end + page, arena / 2 - 2 * page),
        (end + arena / 2, arena / 2 + page),
        (end + 3 * arena, arena / 2),
    ] {
        let window = archipelago::Window::new(base, bytes);
        subject.rig.heap.add_window(window).expect("a good window");
    }
    let count = arena / 5 / Subject::<G>::WORD;
    while subject.try_array(&POINTER, count).is_ok() {}
    while subject.try_array(&PointerMap::from_mask(30, 1), 1).is_ok() {}
    subject.check();
    let shown = parts(&subject);
    let offset = |part: &BitsPartView| G::GEOMETRY.offset(part.base);
    assert!(shown.is_sorted_by(|part, next| offset(part) < offset(next)));
    let needed = shown.iter().filter(|part| part.is_needed);
    assert_eq!(needed.count() * page, subject.bits());
    assert!(shown.iter().all(|part| part.is_ready || !part.is_needed));
}

on_every_geometry!(
    every_byte_of_a_span_leads_to_its_slot,
    there_is_nothing_to_read_in_plain_objects,
    a_cursor_has_bits_where_parts_are_ready,
    parts_are_shown_once,
);

/// A part whose spans are freed is Ready and not needed until it is scavenged.
fn idle_parts_are_not_needed<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    subject.array(&POINTER, 40 * Rig::<G>::PAGE / Subject::<G>::WORD);
    subject.free(0);
    let ready = |part: &&BitsPartView| part.is_ready;
    let idle = parts(&subject);
    assert!(idle.iter().all(|part| !part.is_needed));
    assert!(idle.iter().filter(ready).count() > 1);
    subject.rig.heap.scavenge(usize::MAX).expect("not busy");
    assert_eq!(parts(&subject).iter().filter(ready).count(), 0);
}

on_geometries_that_decommit!(idle_parts_are_not_needed);
