//! Faults of a writer: the oracle finds each of them by the bits that such a writer leaves.
//!
//! A fault in the description is an argument of the correct writer. The others are done to the
//! slot's units after the correct writer has written them.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use archipelago_api::Geometry;

use super::fixture::{Placement, Top8};
use super::oracle::{self, Finding, Model, SlotWords, Way};
use crate::bits::{Description, PointerMap, Tables, UNIT_WORDS, describe};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// There is none.
    None,
    /// The bits are those of the words beside.
    ShiftedByOneWord,
    /// The unit that an object begins in the middle of is not written.
    HeadLost,
    /// The unit that an object ends in the middle of is not written.
    TailLost,
    /// Bits that were set before stay set.
    StaleBits,
    /// Above a boundary the table of the arena below is written.
    WrongArena,
    /// An array has an element less.
    OneElementLess,
    /// An array has an element more.
    OneElementMore,
    /// Neighbours in the first and the last unit are overwritten.
    NeighbourOverwritten,
}

impl Fault {
    /// The pointers of an element of three words.
    fn element(self) -> u128 {
        match self {
            Self::ShiftedByOneWord => 0b010,
            _ => 0b001,
        }
    }

    /// The elements that are described of [`COUNT`].
    fn count(self) -> usize {
        match self {
            Self::OneElementLess => COUNT - 1,
            Self::OneElementMore => COUNT + 1,
            _ => COUNT,
        }
    }

    /// Changes `unit` to the value that a writer with this fault leaves there: `old` is the unit as
    /// it was, `own` has the bits of the slot's words, and `is_fresh` says that the writer sets
    /// bits in a slot that it has cleared.
    fn damage(self, unit: &AtomicUsize, old: usize, own: usize, is_fresh: bool) {
        let new = unit.load(Relaxed);
        let unwritten = if is_fresh { old & !own } else { old };
        let begins_inside = own & 1 == 0;
        let ends_inside = own >> (UNIT_WORDS - 1) & 1 == 0;
        let left = match self {
            Self::HeadLost if begins_inside => unwritten,
            Self::TailLost if ends_inside => unwritten,
            Self::StaleBits => new | old & own,
            Self::NeighbourOverwritten => new & own,
            _ => return,
        };
        unit.store(left, Relaxed);
    }
}

/// Tables of which the one above a boundary is found where the one below is.
struct WrongArena<'a>(&'a Top8);

impl Tables for WrongArena<'_> {
    const GEOMETRY: Geometry = Top8::GEOMETRY;
    const WORD_BYTES: usize = Top8::WORD_BYTES;

    fn units(&self, arena: usize, first: usize) -> &[AtomicUsize] {
        self.0.units(arena - usize::from(first == 0), first)
    }
}

/// Has `way` describe an object in a slot, with a fault.
fn write(fault: Fault, tables: &Top8, slot: SlotWords, way: Way<'_>) {
    let end = slot.first + slot.words;
    let numbers = slot.first / UNIT_WORDS..end.div_ceil(UNIT_WORDS);
    let units = numbers.map(|number| (number, tables.unit(number).load(Relaxed)));
    let before: Vec<_> = units.collect();
    match (fault, way) {
        (Fault::WrongArena, Way::Object(object)) => {
            let address = Top8::address(slot.first);
            let written = describe(&WrongArena(tables), address, slot.words * 8, object);
            assert_eq!(written, Ok(()));
        }
        _ => way.write(tables, slot),
    }
    for (number, old) in before {
        let words = number * UNIT_WORDS..(number + 1) * UNIT_WORDS;
        let own = words.filter(|word| (slot.first..end).contains(word));
        let half = own.fold(0, |half, word| half | 1 << (word % UNIT_WORDS));
        let is_fresh = matches!(way, Way::Fresh(_));
        fault.damage(
            tables.unit(number),
            old,
            half | half << UNIT_WORDS,
            is_fresh,
        );
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

/// The findings in an array from the middle of a unit across a boundary to the middle of another.
fn findings(fault: Fault) -> Vec<Finding> {
    let tables = Top8::new(Placement::Apart);
    let map = PointerMap::from_mask(3, fault.element());
    let slot = SlotWords {
        first: Top8::ARENA_WORDS - BELOW,
        words: SLOT,
    };
    let object = Model::of_mask(3, 0b001, COUNT);
    let description = Description::array(&map, fault.count());
    oracle::findings(&tables, slot, &object, 2 * UNIT_WORDS, || {
        write(fault, &tables, slot, Way::Object(&description));
    })
}

/// The findings in `elements` elements as one value, in units of one arena of which the slot begins
/// and ends in the middle of one.
fn findings_of_value(fault: Fault, elements: usize, is_fresh: bool) -> Vec<Finding> {
    let tables = Top8::new(Placement::Apart);
    let mask = |bits: u128| (0..elements).fold(0, |all, element| all | bits << (3 * element));
    let map = PointerMap::from_mask(3 * elements, mask(fault.element()));
    let slot = SlotWords {
        first: Top8::ARENA_WORDS + 3 * UNIT_WORDS - HEAD,
        words: 3 * elements + 3,
    };
    let object = Model::of_mask(3 * elements, mask(0b001), 1);
    let way = if is_fresh {
        Way::Fresh(&map)
    } else {
        Way::Value(&map)
    };
    oracle::findings(&tables, slot, &object, 2 * UNIT_WORDS, || {
        write(fault, &tables, slot, way);
    })
}

/// The findings in an array, and in values in two, three and more units, the short ones written in
/// both ways; each with the number of its elements.
fn all_findings(fault: Fault) -> [(Vec<Finding>, usize); 6] {
    let value = |elements| (findings_of_value(fault, elements, false), elements);
    let fresh = |elements| (findings_of_value(fault, elements, true), elements);
    [
        (findings(fault), COUNT),
        value(UNIT_WORDS / 4),
        value(UNIT_WORDS / 2),
        value(COUNT),
        fresh(UNIT_WORDS / 4),
        fresh(UNIT_WORDS / 2),
    ]
}

/// The words of an object with wrong bits, and its elements; no neighbour is touched.
fn own_words(fault: Fault) -> [(Vec<usize>, usize); 6] {
    all_findings(fault).map(|(found, elements)| {
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
    for (found, elements) in all_findings(Fault::None) {
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
fn stale_bits_are_found_where_there_is_no_pointer_and_after_the_last() {
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
fn the_table_of_a_wrong_arena_is_found_above_the_boundary_alone() {
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
