//! Mistakes of other heap bitmaps, as they would show here.

use archipelago::AllocFlags;
use archipelago::bits::{Description, PointerMap};
use archipelago_sim::SimGeometry;
use archipelago_testing::{Rig, layout, on_every_geometry};

use crate::subject::{Live, POINTER, Subject};

/// The second word of a slot of two kept the bit of the object before: with words of 4 bytes, a
/// single pointer lies in such a slot.
fn one_pointer_in_a_slot_of_two_words<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    let slot = 2 * Subject::<G>::WORD;
    for elements in [1, 2, 1, 2, 1] {
        let pair = subject.array(&POINTER, 2).block;
        subject.array(&POINTER, 2);
        subject.free(0);
        // As a value of its own, and as the first of two words.
        let maps = [(&POINTER, 1), (&PointerMap::from_mask(2, 0b01), 1)];
        let (map, count) = maps[elements - 1];
        let single = subject.array(map, count).block;
        if single.bytes == slot {
            assert_eq!(single.pointer, pair.pointer, "the slot that was freed");
        }
        subject.check();
        while !subject.live.is_empty() {
            subject.free(0);
        }
    }
}

/// Lengths that end at a boundary, or a few words after it, were rounded down. Here the boundaries
/// are those of a page, of a part of the bitmap, and of several parts.
fn lengths_around_every_boundary<G: SimGeometry>() {
    let (page, word) = (Rig::<G>::PAGE, Subject::<G>::WORD);
    // A byte of bitmap describes four words, and a part is a page of it.
    let part = 4 * page;
    let mut subject = Subject::<G>::new();
    for boundary in [9 * page / word, part, 3 * part] {
        for words in boundary - 3..=boundary + 3 {
            let wanted = layout(words * word, part * word);
            let object = Description::array(&POINTER, words);
            let heap = &subject.rig.heap;
            let memory = heap.allocate_scannable(wanted, &object, AllocFlags::empty());
            let block = subject.rig.vouch(memory.expect("memory"), wanted);
            let words = (0..words).collect();
            subject.live.push(Live { block, words });
            subject.check();
            subject.free(0);
            subject.check();
        }
    }
}

/// Objects without pointers were taken to have a bitmap of zeros, or to need none. Here pages go
/// from objects with pointers to objects without and back, small and large, in any order.
fn pages_change_hands<G: SimGeometry>() {
    const SPARSE: PointerMap<'_> = PointerMap::from_mask(20, 0b1001);
    let mut subject = Subject::<G>::new();
    let page = Rig::<G>::PAGE;
    // Keeps the part that covers the pages needed, so that its memory is never given back.
    subject.array(&POINTER, 9);
    for round in 0..6 {
        for object in 0..40 {
            match (round + object) % 3 {
                0 => drop(subject.array(&SPARSE, 9)),
                1 => subject.plain(200),
                _ => subject.plain(9 * page),
            }
        }
        subject.check();
        while subject.live.len() > 1 {
            subject.free(1);
        }
        // Spans that are kept for their class would keep their pages from the next round.
        assert_eq!(subject.rig.heap.scavenge(0), Ok(0), "nothing was asked for");
        subject.check();
    }
}

on_every_geometry!(
    one_pointer_in_a_slot_of_two_words,
    lengths_around_every_boundary,
    pages_change_hands,
);
