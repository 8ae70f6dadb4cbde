//! The cursor: single steps, long steps, boundaries, holes, the top of the address space.

use core::ops::Range;

use archipelago_api::VirtAddr;

use super::every;
use super::fixture::{Placement, TestTables, Top, Top8};
use crate::bits::{HeapBits, UNIT_WORDS, WordBits};
use fastrand::Rng;

type Top4 = TestTables<Top, 4>;

/// A tables with something else in every unit.
fn sown<const W: usize>(placement: Placement) -> TestTables<Top, W> {
    let tables = TestTables::new(placement);
    let mut random = Rng::with_seed(W as u64);
    tables.fill(|| random.usize(..usize::MAX));
    tables
}

fn expected<const W: usize>(tables: &TestTables<Top, W>, word: usize) -> Option<WordBits> {
    (word < TestTables::<Top, W>::WORDS).then(|| {
        let (pointer, scan) = tables.bits(word);
        WordBits { pointer, scan }
    })
}

fn at<const W: usize>(
    tables: &TestTables<Top, W>,
    word: usize,
) -> HeapBits<'_, TestTables<Top, W>> {
    HeapBits::at(tables, TestTables::<Top, W>::address(word)).expect("in the space")
}

/// Words to walk over, the last ones last: all, or under Miri those on both sides of each boundary.
fn stretches<const W: usize>() -> impl Iterator<Item = Range<usize>> {
    let (arena, all) = (
        TestTables::<Top, W>::ARENA_WORDS,
        TestTables::<Top, W>::WORDS,
    );
    let beside = if cfg!(miri) { UNIT_WORDS + 3 } else { arena };
    let boundaries = (0..=all / arena).map(move |number| number * arena);
    boundaries.map(move |word| word.saturating_sub(beside)..all.min(word + beside))
}

fn walk_word_by_word<const W: usize>(placement: Placement) {
    let tables = sown::<W>(placement);
    let mut cursor = at(&tables, 0);
    for stretch in stretches::<W>() {
        cursor = at(&tables, stretch.start);
        for word in stretch {
            assert_eq!(
                cursor.entry(),
                expected(&tables, word),
                "{placement:?}, word {word}"
            );
            assert_eq!(cursor.address(), Some(TestTables::<Top, W>::address(word)));
            assert_eq!(at(&tables, word).entry(), cursor.entry());
            cursor = cursor.next();
        }
    }
    for _ in 0..3 {
        assert_eq!((cursor.entry(), cursor.address()), (None, None));
        cursor = cursor.next();
    }
}

#[test]
fn single_steps_meet_every_word_up_to_the_last_of_the_address_space() {
    for placement in [Placement::Adjacent, Placement::Apart] {
        walk_word_by_word::<4>(placement);
        walk_word_by_word::<8>(placement);
    }
    let last = VirtAddr::new(usize::MAX);
    let tables = sown::<8>(Placement::Apart);
    let cursor = HeapBits::at(&tables, last).expect("the last byte is in the space");
    assert_eq!(cursor.entry(), expected(&tables, Top8::WORDS - 1));
    assert!(HeapBits::at(&tables, VirtAddr::new(0)).is_none());
}

fn long_steps<const W: usize>(placement: Placement) {
    let tables = sown::<W>(placement);
    let (arena, all) = (
        TestTables::<Top, W>::ARENA_WORDS,
        TestTables::<Top, W>::WORDS,
    );
    let shifts = [0, 1, 2, 3, 4, UNIT_WORDS - 1, UNIT_WORDS, UNIT_WORDS + 1];
    // From below and above each boundary, and from inside, so far that it ends in every arena.
    for base in [0, arena - 40, arena, 2 * arena - 3, all - 70, all - 1] {
        for start in shifts
            .map(|shift| (base + shift).min(all - 1))
            .into_iter()
            .step_by(every(5))
        {
            let cursor = at(&tables, start);
            for step in (0..3 * UNIT_WORDS).step_by(every(7)).chain([
                arena - 1,
                arena,
                arena + 1,
                3 * arena,
                all,
            ]) {
                let moved = cursor.forward(step);
                assert_eq!(
                    moved.entry(),
                    expected(&tables, start + step),
                    "{start} + {step}"
                );
            }
            for endless in [usize::MAX, usize::MAX - start] {
                assert_eq!(cursor.forward(endless).address(), None);
            }
        }
    }
}

#[test]
fn a_step_of_many_words_is_as_many_steps() {
    for placement in [Placement::Adjacent, Placement::Apart] {
        long_steps::<4>(placement);
        long_steps::<8>(placement);
    }
}

fn boundaries<const W: usize>() {
    let tables = sown::<W>(Placement::Apart);
    let (arena, all) = (
        TestTables::<Top, W>::ARENA_WORDS,
        TestTables::<Top, W>::WORDS,
    );
    for start in (arena - 70..arena + 70)
        .chain(all - 70..all)
        .step_by(every(53))
    {
        let left = arena - start % arena;
        for words in (0..140)
            .step_by(every(23))
            .chain([left - 1, left, left + 1, all, usize::MAX])
        {
            let (moved, count) = at(&tables, start).forward_or_boundary(words);
            assert_eq!(count, words.min(left), "{words} from {start}");
            assert_eq!(moved.entry(), expected(&tables, start + count));
        }
    }
}

#[test]
fn a_step_up_to_the_boundary_is_exact_from_any_word() {
    boundaries::<4>();
    boundaries::<8>();
}

#[test]
fn words_without_bits_are_walked_over() {
    for placement in [Placement::Adjacent, Placement::Apart] {
        // The hole lies across the end of the first arena.
        let hole = Top4::ARENA_UNITS - 1..Top4::ARENA_UNITS + 1;
        let tables = sown::<4>(placement).without(hole.clone());
        for stretch in stretches::<4>() {
            let mut cursor = at(&tables, stretch.start);
            for word in stretch {
                let bits = expected(&tables, word).filter(|_| !hole.contains(&(word / UNIT_WORDS)));
                assert_eq!(cursor.entry(), bits, "word {word}");
                cursor = cursor.next();
            }
        }
        let before = hole.start * UNIT_WORDS - 7;
        let (edge, count) = at(&tables, before).forward_or_boundary(usize::MAX);
        assert_eq!((edge.entry(), count), (None, 7));
        let (further, count) = edge.forward(2).forward_or_boundary(usize::MAX);
        assert_eq!((further.entry(), count), (None, UNIT_WORDS - 2));
        let behind = at(&tables, before).forward(7 + hole.len() * UNIT_WORDS);
        assert_eq!(behind.entry(), expected(&tables, hole.end * UNIT_WORDS));
    }
}

#[test]
fn the_special_bit_is_one_bit() {
    let tables = Top8::new(Placement::Apart).without(9..10);
    let word = Top8::ARENA_WORDS + 1;
    assert!(at(&tables, word).set_special(true));
    let others = (0..Top8::WORDS).step_by(every(13));
    for other in others.chain([word - 1, word, word + 1]) {
        assert_eq!(tables.bits(other), (false, other == word));
    }
    assert!(at(&tables, word).set_special(false));
    assert_eq!(at(&tables, word).entry(), Some(WordBits::DEAD));
    assert!(!at(&tables, 9 * UNIT_WORDS).set_special(true));
}
