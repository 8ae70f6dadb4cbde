//! Objects of all shapes at all places, against the oracle.

use alloc::vec::Vec;

use archipelago_api::VirtAddr;

use super::every;
use super::fixture::{Placement, TestTables, Top, Top8};
use super::oracle::{Model, SlotWords, Way, check, check_way};
use crate::bits::{DescribeError, Description, HeapBits, PointerMap, UNIT_WORDS, clear, describe};
use fastrand::Rng;

/// Words of a space of which all are alike: all, or under Miri some of each unit's.
fn all_words() -> impl Iterator<Item = usize> {
    (0..Top8::WORDS).step_by(every(UNIT_WORDS - 3))
}

const PLACEMENTS: [Placement; 2] = [Placement::Adjacent, Placement::Apart];

/// Masks that are cheap to try everywhere: none, one end, the other, both, all, every other word.
fn telling_masks(words: usize) -> impl Iterator<Item = u128> {
    let all = if words < 128 {
        (1 << words) - 1
    } else {
        u128::MAX
    };
    let last = 1 << (words - 1);
    // Every other bit.
    let alternating = all & (u128::MAX / 3);
    [0, 1, last, 1 | last, all, alternating]
        .into_iter()
        .step_by(every(2))
}

#[test]
fn every_mask_of_up_to_twelve_words_from_every_word_of_a_unit() {
    let tables = Top8::new(Placement::Apart);
    for words in 1..=12 {
        for mask in (0..1 << words).step_by(every(97)) {
            let object = Model::of_mask(words, mask, 1);
            for shift in (0..UNIT_WORDS).step_by(every(19)) {
                // Slots with and without a tail.
                let slot = SlotWords {
                    first: 3 * UNIT_WORDS + shift,
                    words: words + (shift + object.pointers()) % 5,
                };
                check(&tables, slot, &object);
            }
        }
    }
}

fn every_slot<const W: usize>() {
    let tables = TestTables::<Top, W>::new(Placement::Apart);
    let sizes = (1..=256).chain([
        257, 288, 300, 320, 384, 448, 511, 512, 513, 600, 1024, 2048, 4096,
    ]);
    for words in sizes.step_by(every(67)) {
        let step = 1 + words / 40 + every(14) - 1;
        for (turn, shift) in (0..UNIT_WORDS).step_by(step).enumerate() {
            for mask in telling_masks(words.min(128)) {
                let first = UNIT_WORDS + shift + turn % 3 * UNIT_WORDS;
                check(
                    &tables,
                    SlotWords { first, words },
                    &Model::of_mask(words.min(128), mask, 1),
                );
            }
        }
    }
}

#[test]
fn every_size_of_slot_from_every_word_of_a_unit() {
    every_slot::<4>();
    every_slot::<8>();
}

fn boundaries<const W: usize>(placement: Placement) {
    let tables = TestTables::<Top, W>::new(placement);
    let boundary = 2 * TestTables::<Top, W>::ARENA_WORDS;
    for words in (1..=36).chain([63, 64, 65, 100, 128]).step_by(every(13)) {
        for below in (0..=words + 1).step_by(every(11)) {
            for mask in telling_masks(words) {
                let first = boundary - below;
                check(
                    &tables,
                    SlotWords { first, words },
                    &Model::of_mask(words, mask, 1),
                );
            }
        }
    }
}

#[test]
fn every_distance_to_the_boundary_of_an_arena() {
    for placement in PLACEMENTS {
        boundaries::<4>(placement);
        boundaries::<8>(placement);
    }
}

fn up_to_the_top<const W: usize>(placement: Placement) {
    let tables = TestTables::<Top, W>::new(placement);
    let all = TestTables::<Top, W>::WORDS;
    for words in (1..130).step_by(every(50)) {
        let slot = SlotWords {
            first: all - words,
            words,
        };
        for mask in telling_masks(words.min(128)) {
            check(&tables, slot, &Model::of_mask(words.min(128), mask, 1));
        }
    }
}

#[test]
fn objects_up_to_the_last_address_there_is() {
    for placement in PLACEMENTS {
        up_to_the_top::<4>(placement);
        up_to_the_top::<8>(placement);
    }
}

/// Arrays of elements of every short length, with scalar tails of more than a word.
fn arrays<const W: usize>(placement: Placement) {
    let tables = TestTables::<Top, W>::new(placement);
    let arena = TestTables::<Top, W>::ARENA_WORDS;
    let mut random = Rng::with_seed(7);
    for words in (1..=20)
        .chain([31, 32, 33, 47, 64, 65, 100, 128])
        .step_by(every(13))
    {
        for count in [0, 1, 2, 3, 31, 32, 33, 63, 64, 65]
            .into_iter()
            .step_by(every(4))
        {
            let masks: Vec<u128> = telling_masks(words).collect();
            for mask in masks.into_iter().chain((words > 1).then_some(0b10)) {
                let object = Model::of_mask(words, mask, count);
                let all = object.words() + random.usize(..4);
                // Across the first boundary, and across all of them for the longest.
                let below = random.usize(..all.min(arena) + 1);
                let slot = SlotWords {
                    first: arena - below,
                    words: all.max(1),
                };
                if slot.first + slot.words <= TestTables::<Top, W>::WORDS {
                    check(&tables, slot, &object);
                }
            }
        }
    }
}

#[test]
fn arrays_of_up_to_65_elements_across_arenas() {
    for placement in PLACEMENTS {
        arrays::<4>(placement);
        arrays::<8>(placement);
    }
}

/// An object has the same bits in adjacent tables and in tables that lie apart.
#[test]
fn tables_side_by_side_and_apart_end_up_with_the_same_bits() {
    let both = PLACEMENTS.map(Top8::new);
    let mut random = Rng::with_seed(3);
    for _ in (0..200).step_by(every(100)) {
        let words = 1 + random.usize(..128);
        let count = 1 + random.usize(..60);
        let mask = u128::from(random.u64(..)) & ((1 << (words - 1)) - 1) | 1;
        let map = PointerMap::from_mask(words, mask);
        let slot_words = words * count;
        let first = random.usize(..Top8::WORDS - slot_words);
        for tables in &both {
            tables.fill(|| usize::MAX);
            let (slot, object) = (Top8::address(first), Description::array(&map, count));
            assert_eq!(describe(tables, slot, slot_words * 8, &object), Ok(()));
        }
        for word in (0..Top8::WORDS).step_by(every(5)) {
            assert_eq!(both[0].bits(word), both[1].bits(word), "word {word}");
        }
    }
}

#[test]
fn a_header_comes_before_its_tail() {
    let tables = Top8::new(Placement::Apart);
    let mut random = Rng::with_seed(11);
    for _ in (0..3000).step_by(every(500)) {
        let (head, element) = (random.usize(..70), 1 + random.usize(..40));
        let mask = |random: &mut Rng, words: usize| {
            let bits = u128::from(random.u64(..)) << 64 | u128::from(random.u64(..));
            bits & ((1 << words) - 1)
        };
        let (of_head, of_element) = (mask(&mut random, head), mask(&mut random, element));
        let maps = [
            PointerMap::from_mask(head, of_head),
            PointerMap::from_mask(element, of_element),
        ];
        let count = random.usize(..9);
        let mut words = Model::of_mask(head, of_head, 1).element;
        for _ in 0..count {
            words.extend(Model::of_mask(element, of_element, 1).element);
        }
        let slot = SlotWords {
            first: Top8::ARENA_WORDS - random.usize(..words.len() + 1),
            words: words.len() + random.usize(..3),
        };
        let object = Model {
            element: words,
            count: 1,
        };
        let description = Description::header_and_tail(&maps[0], &maps[1], count);
        check_way(&tables, slot, &object, Way::Object(&description));
    }
}

#[test]
fn clearing_makes_dead_what_it_names_and_nothing_else() {
    for placement in PLACEMENTS {
        let tables = Top8::new(placement).without(5..7);
        for (first, words) in [
            (0, 1),
            (3, 1),
            (30, 4),
            (UNIT_WORDS, UNIT_WORDS),
            (2 * UNIT_WORDS, 2 * UNIT_WORDS),
            (UNIT_WORDS + 3, 2 * UNIT_WORDS),
            (Top8::ARENA_WORDS - 3, UNIT_WORDS),
            (Top8::ARENA_WORDS + 1, 9 * UNIT_WORDS),
            (Top8::WORDS - 2, 2),
            (7, 2 * Top8::ARENA_WORDS),
            (0, Top8::WORDS),
        ] {
            tables.fill(|| usize::MAX);
            clear(&tables, Top8::address(first), words * 8);
            let edges = first.saturating_sub(2)..first + words.min(2);
            for word in all_words().chain(edges) {
                let own = (first..first + words).contains(&word);
                let absent = (5..7).contains(&(word / UNIT_WORDS));
                assert_eq!(tables.bits(word).0, !own || absent, "word {word}");
                assert_eq!(tables.bits(word).1, tables.bits(word).0);
            }
        }
        // Nothing to clear, and an address outside of the space.
        tables.fill(|| usize::MAX);
        clear(&tables, Top8::address(0), 0);
        clear(&tables, VirtAddr::new(0), 8);
        assert!(all_words().all(|word| tables.bits(word) == (true, true)));
    }
}

#[test]
fn a_refusal_names_its_figures_and_writes_nothing() {
    let tables = Top8::new(Placement::Apart).without(9..10);
    let map = PointerMap::from_mask(4, 0b1111);
    let hole = 9 * UNIT_WORDS;
    let cases = [
        (
            (Top8::address(0), 3 * 8),
            Description::one(&map),
            DescribeError::TooLong { words: 4, room: 3 },
        ),
        (
            (Top8::address(0), 4 * 8),
            Description::array(&map, usize::MAX / 2),
            DescribeError::TooLong {
                words: usize::MAX,
                room: 4,
            },
        ),
        (
            (Top8::address(hole - 40), 64 * 8),
            Description::one(&map),
            DescribeError::Absent {
                address: Top8::address(hole),
            },
        ),
        (
            (Top8::address(Top8::WORDS - 3), 4 * 8),
            Description::one(&map),
            DescribeError::Outside {
                address: Top8::address(Top8::WORDS - 3),
                bytes: 32,
            },
        ),
        (
            (VirtAddr::new(0), 32),
            Description::one(&map),
            DescribeError::Outside {
                address: VirtAddr::new(0),
                bytes: 32,
            },
        ),
    ];
    for ((slot, bytes), object, error) in cases {
        assert_eq!(
            describe(&tables, slot, bytes, &object),
            Err(error),
            "{error}"
        );
    }
    assert!(all_words().all(|word| tables.bits(word) == (false, false)));
}

/// The cursor and the writer agree on where the bits of an object are.
#[test]
fn what_was_described_is_what_the_cursor_walks_over() {
    for placement in PLACEMENTS {
        let tables = Top8::new(placement);
        let map = PointerMap::from_mask(3, 0b101);
        let (first, count) = (Top8::ARENA_WORDS - 40, 30);
        let slot = Top8::address(first);
        assert_eq!(
            describe(&tables, slot, 720, &Description::array(&map, count)),
            Ok(())
        );
        let mut cursor = HeapBits::at(&tables, slot).expect("in the space");
        for word in 0..3 * count {
            let entry = cursor.entry().expect("there are bits");
            assert_eq!((entry.pointer, entry.scan), (word % 3 != 1, word != 1));
            cursor = cursor.next();
        }
        assert_eq!(cursor.entry(), Some(crate::bits::WordBits::DEAD));
    }
}
