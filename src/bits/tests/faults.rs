//! Faults planted in the writer: the oracle finds each of them, by what it does.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::bed::{Bed, Lie, Top};
use super::oracle::{Finding, Object, Slot, Way, try_out};
use crate::bits::seed::{Seed, Sound};
use crate::bits::tables::WordIdx;
use crate::bits::{Description, PointerMap, Tables, UNIT_WORDS};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The bits are those of the words beside.
    ShiftedByOneWord,
    /// The unit that an object begins in the middle of is not written.
    HeadLost,
    /// The unit that an object ends in the middle of is not written.
    TailLost,
    /// Bits that were set before stay set.
    StaleBits,
    /// Behind a boundary the table of the arena below is written.
    WrongArena,
    /// An array has an element less.
    OneElementLess,
    /// An array has an element more.
    OneElementMore,
    /// All words of a unit are taken for the object's own.
    NeighbourOverwritten,
}

impl Seed for Fault {
    fn object<'a>(self, object: &Description<'a>) -> Description<'a> {
        match self {
            Self::OneElementLess => object.recounted(|count| count - 1),
            Self::OneElementMore => object.recounted(|count| count + 1),
            _ => *object,
        }
    }

    fn word(self, word: usize) -> usize {
        word + usize::from(self == Self::ShiftedByOneWord)
    }

    fn shift(self, first: usize) -> usize {
        first + usize::from(self == Self::ShiftedByOneWord)
    }

    fn table<T: Tables>(self, word: WordIdx) -> WordIdx {
        let arena = T::GEOMETRY.arena_bytes() / T::WORD_BYTES;
        match self {
            Self::WrongArena if word.0 % arena == 0 => WordIdx(word.0 - arena),
            _ => word,
        }
    }

    fn own(self, own: usize) -> usize {
        let begins_inside = own & 1 == 0;
        let ends_inside = own >> (UNIT_WORDS - 1) & 1 == 0;
        match self {
            Self::HeadLost if begins_inside => 0,
            Self::TailLost if ends_inside => 0,
            Self::NeighbourOverwritten => usize::MAX,
            _ => own,
        }
    }

    fn set(self, units: &[AtomicUsize], index: usize, bits: usize) {
        match self {
            Self::HeadLost if index == 0 => {}
            Self::TailLost if index + 1 == units.len() => {}
            Self::NeighbourOverwritten => units[index].store(bits, Relaxed),
            _ => Sound.set(units, index, bits),
        }
    }

    fn cleared(self, own: usize) -> usize {
        match self {
            Self::StaleBits => 0,
            Self::NeighbourOverwritten => usize::MAX,
            _ => own,
        }
    }

    fn bits(self, unit: &AtomicUsize, bits: usize) -> usize {
        match self {
            Self::StaleBits => bits | unit.load(Relaxed),
            _ => bits,
        }
    }
}

/// Elements of the array: a pointer and two numbers each.
const COUNT: usize = 40;
/// Words up to the last pointer.
const TOTAL: usize = 3 * COUNT - 2;
/// Words of the slot, which has room for one element more.
const SLOT: usize = 3 * COUNT + 3;
/// The object's words in the unit that it begins in the middle of.
const HEAD: usize = 5;
/// The array's words below the boundary.
const BELOW: usize = HEAD + 2 * UNIT_WORDS;

/// What is found of an array from the middle of a unit over a boundary into the middle of another.
fn findings(seed: impl Seed) -> Vec<Finding> {
    let bed = Bed::<Top, 8>::new(Lie::Apart);
    let map = PointerMap::from_mask(3, 0b001);
    let slot = Slot {
        first: Bed::<Top, 8>::ARENA_WORDS - BELOW,
        words: SLOT,
    };
    let object = Object::of_mask(3, 0b001, COUNT);
    let way = Way::Object(&Description::array(&map, COUNT));
    try_out(&bed, slot, (&object, way), seed, 2 * UNIT_WORDS)
}

/// What is found of the same words as one value, in `units` units of one arena, of which it has
/// the last to itself up to its middle; `laid` over cleared words or not.
fn findings_of_value(seed: impl Seed, elements: usize, laid: bool) -> Vec<Finding> {
    let bed = Bed::<Top, 8>::new(Lie::Apart);
    let mask = (0..elements).fold(0, |all, element| all | 1 << (3 * element));
    let map = PointerMap::from_mask(3 * elements, mask);
    let slot = Slot {
        first: Bed::<Top, 8>::ARENA_WORDS + 3 * UNIT_WORDS - HEAD,
        words: 3 * elements + 3,
    };
    let object = Object::of_mask(3 * elements, mask, 1);
    let way = if laid {
        Way::Laid(&map)
    } else {
        Way::Value(&map)
    };
    try_out(&bed, slot, (&object, way), seed, 2 * UNIT_WORDS)
}

/// What is found of an array, and of values in two, three and more units, the short ones in both
/// ways.
fn all_findings(seed: impl Seed) -> [(Vec<Finding>, usize); 6] {
    let value = |elements| (findings_of_value(seed, elements, false), elements);
    let laid = |elements| (findings_of_value(seed, elements, true), elements);
    [
        (findings(seed), COUNT),
        value(UNIT_WORDS / 4),
        value(UNIT_WORDS / 2),
        value(COUNT),
        laid(UNIT_WORDS / 4),
        laid(UNIT_WORDS / 2),
    ]
}

/// The words that are not what they have to be, of as many elements; no neighbour's is among them.
fn own_words(seed: impl Seed) -> [(Vec<usize>, usize); 6] {
    all_findings(seed).map(|(found, elements)| {
        let words = found.into_iter().map(|finding| match finding {
            Finding::Pointer(word) | Finding::Scan(word) | Finding::Dead(word) => Some(word),
            Finding::Below(_) | Finding::Above(_) => None,
        });
        let words: Option<Vec<_>> = words.collect();
        (words.expect("no neighbour is touched"), elements)
    })
}

#[test]
fn without_a_fault_nothing_is_found() {
    for (found, elements) in all_findings(Sound) {
        assert!(found.is_empty(), "{elements} elements: {found:?}");
    }
}

#[test]
fn a_map_shifted_by_one_word_is_found_at_every_pointer() {
    for (words, elements) in own_words(Fault::ShiftedByOneWord) {
        assert!(
            (0..elements).all(|element| words.contains(&(3 * element))),
            "{words:?}"
        );
    }
}

#[test]
fn a_lost_head_is_found_in_the_first_unit_alone() {
    for (words, _) in own_words(Fault::HeadLost) {
        assert!(
            !words.is_empty() && words.iter().all(|word| *word < HEAD),
            "{words:?}"
        );
    }
}

#[test]
fn a_lost_tail_is_found_in_the_last_unit_alone() {
    for (words, elements) in own_words(Fault::TailLost) {
        let tail = HEAD + (3 * elements + 3 - HEAD) / UNIT_WORDS * UNIT_WORDS;
        assert!(
            !words.is_empty() && words.iter().all(|word| *word >= tail),
            "{words:?}"
        );
    }
}

#[test]
fn stale_bits_are_found_where_there_is_no_pointer_and_behind_the_last() {
    let scalar = |finding: &Finding| matches!(finding, Finding::Pointer(word) if word % 3 != 0);
    for (found, elements) in all_findings(Fault::StaleBits) {
        let last = 3 * elements - 2;
        let dead = |finding: &Finding| matches!(finding, Finding::Dead(word) if *word >= last);
        assert!(
            found.iter().any(scalar) && found.iter().any(dead),
            "{found:?}"
        );
    }
}

#[test]
fn the_table_of_a_wrong_arena_is_found_behind_the_boundary_alone() {
    let [(words, _), ..] = own_words(Fault::WrongArena);
    assert!(
        !words.is_empty() && words.iter().all(|word| *word >= BELOW),
        "{words:?}"
    );
}

#[test]
fn an_element_too_few_and_one_too_many_are_found_at_the_end() {
    let last = TOTAL - 1;
    let missing = [
        Finding::Scan(last - 2),
        Finding::Scan(last - 1),
        Finding::Pointer(last),
    ];
    assert_eq!(findings(Fault::OneElementLess), missing);
    let surplus = [0, 1, 2].map(|word| Finding::Dead(TOTAL + word));
    assert_eq!(findings(Fault::OneElementMore), surplus);
}

#[test]
fn neighbours_that_are_overwritten_are_found_on_both_sides() {
    let below = |finding: &Finding| matches!(finding, Finding::Below(_));
    let above = |finding: &Finding| matches!(finding, Finding::Above(_));
    for (found, _) in all_findings(Fault::NeighbourOverwritten) {
        assert!(
            found.iter().any(below) && found.iter().any(above),
            "{found:?}"
        );
    }
}
