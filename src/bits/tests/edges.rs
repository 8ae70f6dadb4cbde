//! Edge cases: room for numbers after the last pointer, bits after the first dead word, numbers of
//! arenas after the last.

use alloc::vec::Vec;
use core::sync::atomic::AtomicUsize;

use archipelago_api::Geometry;

use super::fixture::{Placement, Top8};
use crate::bits::{
    DescribeError, Description, HeapBits, PointerMap, PointerWords, Tables, UNIT_WORDS, describe,
    describe_value,
};

/// Words after the last pointer need room too.
#[test]
fn an_object_that_ends_in_numbers_fits_only_whole() {
    let tables = Top8::new(Placement::Apart);
    let map = PointerMap::from_mask(6, 0b1);
    let cases = [
        Description::one(&map),
        Description::array(&map, 3),
        Description::header_and_tail(&map, &map, 2),
    ];
    for (object, words) in cases.iter().zip([6, 18, 18]) {
        let (slot, room) = (Top8::address(40), words - 1);
        let refused = Err(DescribeError::TooLong { words, room });
        assert_eq!(describe(&tables, slot, 8 * room, object), refused);
        assert_eq!(describe(&tables, slot, 8 * words, object), Ok(()));
    }
    let refused = describe_value(&tables, Top8::address(80), 5 * 8, &map);
    assert_eq!(refused, Err(DescribeError::TooLong { words: 6, room: 5 }));
    assert!((80..86).all(|word| tables.bits(word) == (false, false)));
}

/// A word is dead or not by its own bits, whatever the bits of later words are.
#[test]
fn a_scan_ends_at_the_first_dead_word() {
    let tables = Top8::new(Placement::Apart);
    let map = PointerMap::from_mask(4, 0b1001);
    for first in [0, 5, UNIT_WORDS - 2, UNIT_WORDS - 4, UNIT_WORDS + 1] {
        tables.fill(|| usize::MAX);
        let slot = Top8::address(first);
        // One dead word, of four that are described and of two.
        for (map, words) in [(&map, 4), (&PointerMap::from_mask(3, 0b10), 3)] {
            let end = 8 * (words + 1);
            assert_eq!(describe_value(&tables, slot, end, map), Ok(()));
            let read = PointerWords::of(&tables, slot, 8 * 5 * UNIT_WORDS).expect("in the space");
            let expected: Vec<usize> = (0..words)
                .filter(|word| map.is_pointer(*word))
                .map(|word| 8 * word)
                .collect();
            assert_eq!(read.collect::<Vec<_>>(), expected, "from word {first}");
        }
    }
}

/// Tables that are asked for no arena but those of the space and the one after the last.
struct Strict(Top8);

const ARENAS: usize = Top8::WORDS / Top8::ARENA_WORDS;

impl Tables for Strict {
    const GEOMETRY: Geometry = Top8::GEOMETRY;
    const WORD_BYTES: usize = Top8::WORD_BYTES;

    fn units(&self, arena: usize, first: usize) -> &[AtomicUsize] {
        assert!(arena <= ARENAS, "arena {arena} of {ARENAS}");
        self.0.units(arena, first)
    }
}

#[test]
fn no_step_leads_farther_than_the_end_of_the_space() {
    let tables = Strict(Top8::new(Placement::Apart));
    let map = PointerMap::from_mask(1, 1);
    let last = Top8::address(Top8::WORDS - 1);
    assert_eq!(describe_value(&tables, last, 8, &map), Ok(()));
    let cursor = HeapBits::at(&tables, last).expect("in the space");
    for words in [
        1,
        2,
        UNIT_WORDS,
        Top8::ARENA_WORDS,
        5 * Top8::WORDS,
        usize::MAX / 2,
        usize::MAX,
    ] {
        let end = cursor.forward(words);
        assert_eq!((end.address(), end.entry()), (None, None));
        assert_eq!(end.forward(words).entry(), None);
        // From there on nothing moves.
        assert_eq!(end.forward_or_boundary(words).1, 0);
        assert!(!end.set_special(true));
    }
    // A part of an object that begins after the end of the space.
    for start in [8, 8 * UNIT_WORDS, usize::MAX & !7] {
        let read = PointerWords::within(&tables, last, start..usize::MAX);
        assert_eq!(read.expect("in the space").next(), None);
    }
}
