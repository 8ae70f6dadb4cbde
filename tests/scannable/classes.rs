//! Every size class: a span full of different objects, which are freed and allocated again one by
//! one.

use archipelago::bits::PointerMap;
use archipelago_sim::SimGeometry;
use archipelago_testing::{Rig, on_every_geometry};

use crate::subject::Subject;

/// Slots of a span that are tested: enough that the first and the last word of a slot take every
/// position in a bitmap word.
const SLOTS: usize = if cfg!(miri) { 3 } else { 40 };

/// Bytes of the slots of every class.
fn classes<G: SimGeometry>() -> Vec<usize> {
    let rig = Rig::<G>::new();
    let mut classes = Vec::new();
    let mut next = Subject::<G>::WORD;
    loop {
        let block = rig.get(next, 8);
        let object = rig.heap.object_at(rig.address(block)).expect("it is live");
        let mut class = None;
        rig.heap.for_each_span(|span| {
            let above = rig.address(block).bytes_above(span.base);
            if above.is_some_and(|above| above < span.bytes) {
                class = span.class;
            }
        });
        if class.is_none() {
            return classes;
        }
        classes.push(object.bytes);
        next = object.bytes + 1;
    }
}

/// Pointers in the first and in the last words, and elsewhere as `number` says.
fn mask(words: usize, number: usize) -> u128 {
    let words = words.min(128);
    let all = u128::MAX >> (128 - words);
    let scattered =
        0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128.wrapping_mul(2 * number as u128 + 1);
    let ends = [0, 1, 1 << (words - 1), 1 | 1 << (words - 1)][number % 4];
    scattered & all | ends
}

fn objects_of_every_class<G: SimGeometry>() {
    for bytes in classes::<G>() {
        let mut subject = Subject::<G>::new();
        let words = bytes / Subject::<G>::WORD;
        let map = |number: usize| -> PointerMap<'static> {
            // By turns the object ends with the slot, or one word before it.
            let words = (words - number % 2).max(1);
            PointerMap::from_mask(words, mask(words, number))
        };
        for number in 0..SLOTS {
            // A small part is full before that.
            if subject.try_array(&map(number), 1).is_err() {
                break;
            }
        }
        assert_eq!(subject.live[0].block.bytes, bytes);
        subject.check();
        for number in 0..SLOTS.min(6) {
            subject.free(number * 5 % subject.live.len());
            subject.check();
            subject.array(&map(number + 3), 1);
            subject.check();
        }
    }
}

on_every_geometry!(objects_of_every_class);
