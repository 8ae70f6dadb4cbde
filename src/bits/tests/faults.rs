//! Faults planted in the writer: the oracle finds each of them, by what it does.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::bed::{Bed, Lie, Top};
use super::oracle::{Finding, Object, Slot, try_out};
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
    /// The bits of all words of a unit are taken for the object's.
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
/// The array's words in the unit that it begins in the middle of.
const HEAD: usize = 5;
/// The array's words below the boundary.
const BELOW: usize = HEAD + 2 * UNIT_WORDS;

/// What is found of an array from the middle of a unit over a boundary into the middle of another,
/// in a slot with room for one element more.
fn findings(seed: impl Seed) -> Vec<Finding> {
    let bed = Bed::<Top, 8>::new(Lie::Apart);
    let map = PointerMap::from_mask(3, 0b001);
    let slot = Slot {
        first: Bed::<Top, 8>::ARENA_WORDS - BELOW,
        words: 3 * COUNT + 3,
    };
    let object = Object::of_mask(3, 0b001, COUNT);
    let array = Description::array(&map, COUNT);
    try_out(&bed, slot, (&object, &array), seed, 2 * UNIT_WORDS)
}

/// The words of the array that are not what they have to be; none if a neighbour's is not.
fn own_words(seed: impl Seed) -> Option<Vec<usize>> {
    let words = findings(seed).into_iter().map(|finding| match finding {
        Finding::Pointer(word) | Finding::Scan(word) | Finding::Dead(word) => Some(word),
        Finding::Neighbour(_) => None,
    });
    words.collect()
}

#[test]
fn without_a_fault_nothing_is_found() {
    assert_eq!(findings(Sound), []);
}

#[test]
fn a_map_shifted_by_one_word_is_found_at_every_pointer() {
    let words = own_words(Fault::ShiftedByOneWord).expect("no neighbour is touched");
    assert!(
        (0..COUNT).all(|element| words.contains(&(3 * element))),
        "{words:?}"
    );
}

#[test]
fn a_lost_head_is_found_in_the_first_unit_alone() {
    let words = own_words(Fault::HeadLost).expect("no neighbour is touched");
    assert!(
        !words.is_empty() && words.iter().all(|word| *word < HEAD),
        "{words:?}"
    );
}

#[test]
fn a_lost_tail_is_found_in_the_last_unit_alone() {
    let words = own_words(Fault::TailLost).expect("no neighbour is touched");
    let tail = BELOW + (3 * COUNT + 3 - BELOW) / UNIT_WORDS * UNIT_WORDS;
    assert!(
        !words.is_empty() && words.iter().all(|word| *word >= tail),
        "{words:?}"
    );
}

#[test]
fn stale_bits_are_found_where_there_is_no_pointer_and_behind_the_last() {
    let found = findings(Fault::StaleBits);
    assert!(
        found
            .iter()
            .any(|finding| matches!(finding, Finding::Pointer(word) if word % 3 != 0))
    );
    assert!(
        found
            .iter()
            .any(|finding| matches!(finding, Finding::Dead(word) if *word >= TOTAL))
    );
}

#[test]
fn the_table_of_a_wrong_arena_is_found_behind_the_boundary_alone() {
    let words = own_words(Fault::WrongArena).expect("no neighbour nearby is touched");
    assert!(
        !words.is_empty() && words.iter().all(|word| *word >= BELOW),
        "{words:?}"
    );
}

#[test]
fn an_element_too_few_and_one_too_many_are_found_at_the_end() {
    let less = findings(Fault::OneElementLess);
    let missing = [
        Finding::Scan(TOTAL - 3),
        Finding::Scan(TOTAL - 2),
        Finding::Pointer(TOTAL - 1),
    ];
    assert_eq!(less, missing);
    let more = findings(Fault::OneElementMore);
    let surplus = [
        Finding::Dead(TOTAL),
        Finding::Dead(TOTAL + 1),
        Finding::Dead(TOTAL + 2),
    ];
    assert_eq!(more, surplus);
}

#[test]
fn bits_of_neighbours_are_looked_at_on_both_sides() {
    let found = findings(Fault::NeighbourOverwritten);
    let first = Bed::<Top, 8>::ARENA_WORDS - BELOW;
    let beside = |range: core::ops::Range<usize>| {
        found
            .iter()
            .any(|finding| matches!(finding, Finding::Neighbour(word) if range.contains(word)))
    };
    assert!(beside(first - UNIT_WORDS..first));
    let end = first + 3 * COUNT + 3;
    assert!(beside(end..end + UNIT_WORDS));
}
