//! The cursor: single steps, long steps, boundaries, holes, the top of the address space.

use core::ops::Range;

use archipelago_api::VirtAddr;

use super::bed::{Bed, Lie, Top};
use super::every;
use crate::bits::{Entry, HeapBits, UNIT_WORDS};
use fastrand::Rng;

type Top4 = Bed<Top, 4>;
type Top8 = Bed<Top, 8>;

/// A bed with something else in every unit.
fn sown<const W: usize>(lie: Lie) -> Bed<Top, W> {
    let bed = Bed::new(lie);
    let mut random = Rng::with_seed(W as u64);
    bed.fill(|| random.usize(..usize::MAX));
    bed
}

fn expected<const W: usize>(bed: &Bed<Top, W>, word: usize) -> Option<Entry> {
    (word < Bed::<Top, W>::WORDS).then(|| {
        let (pointer, scan) = bed.bits(word);
        Entry { pointer, scan }
    })
}

fn at<const W: usize>(bed: &Bed<Top, W>, word: usize) -> HeapBits<'_, Bed<Top, W>> {
    HeapBits::at(bed, Bed::<Top, W>::address(word)).expect("in the space")
}

/// Words to walk over, the last ones last: all, or under Miri those on both sides of each boundary.
fn stretches<const W: usize>() -> impl Iterator<Item = Range<usize>> {
    let (arena, all) = (Bed::<Top, W>::ARENA_WORDS, Bed::<Top, W>::WORDS);
    let beside = if cfg!(miri) { UNIT_WORDS + 3 } else { arena };
    let boundaries = (0..=all / arena).map(move |number| number * arena);
    boundaries.map(move |word| word.saturating_sub(beside)..all.min(word + beside))
}

fn walk_word_by_word<const W: usize>(lie: Lie) {
    let bed = sown::<W>(lie);
    let mut cursor = at(&bed, 0);
    for stretch in stretches::<W>() {
        cursor = at(&bed, stretch.start);
        for word in stretch {
            assert_eq!(cursor.entry(), expected(&bed, word), "{lie:?}, word {word}");
            assert_eq!(cursor.address(), Some(Bed::<Top, W>::address(word)));
            assert_eq!(at(&bed, word).entry(), cursor.entry());
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
    for lie in [Lie::Adjacent, Lie::Apart] {
        walk_word_by_word::<4>(lie);
        walk_word_by_word::<8>(lie);
    }
    let last = VirtAddr::new(usize::MAX);
    let bed = sown::<8>(Lie::Apart);
    let cursor = HeapBits::at(&bed, last).expect("the last byte is in the space");
    assert_eq!(cursor.entry(), expected(&bed, Top8::WORDS - 1));
    assert!(HeapBits::at(&bed, VirtAddr::new(0)).is_none());
}

fn long_steps<const W: usize>(lie: Lie) {
    let bed = sown::<W>(lie);
    let (arena, all) = (Bed::<Top, W>::ARENA_WORDS, Bed::<Top, W>::WORDS);
    let shifts = [0, 1, 2, 3, 4, UNIT_WORDS - 1, UNIT_WORDS, UNIT_WORDS + 1];
    // From before and behind each boundary, and from inside, so far that it ends in every arena.
    for base in [0, arena - 40, arena, 2 * arena - 3, all - 70, all - 1] {
        for start in shifts
            .map(|shift| (base + shift).min(all - 1))
            .into_iter()
            .step_by(every(5))
        {
            let cursor = at(&bed, start);
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
                    expected(&bed, start + step),
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
    for lie in [Lie::Adjacent, Lie::Apart] {
        long_steps::<4>(lie);
        long_steps::<8>(lie);
    }
}

fn boundaries<const W: usize>() {
    let bed = sown::<W>(Lie::Apart);
    let (arena, all) = (Bed::<Top, W>::ARENA_WORDS, Bed::<Top, W>::WORDS);
    for start in (arena - 70..arena + 70)
        .chain(all - 70..all)
        .step_by(every(53))
    {
        let left = arena - start % arena;
        for words in (0..140)
            .step_by(every(23))
            .chain([left - 1, left, left + 1, all, usize::MAX])
        {
            let (moved, count) = at(&bed, start).forward_or_boundary(words);
            assert_eq!(count, words.min(left), "{words} from {start}");
            assert_eq!(moved.entry(), expected(&bed, start + count));
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
    for lie in [Lie::Adjacent, Lie::Apart] {
        // The hole lies across the end of the first arena.
        let hole = Top4::ARENA_UNITS - 1..Top4::ARENA_UNITS + 1;
        let bed = sown::<4>(lie).without(hole.clone());
        for stretch in stretches::<4>() {
            let mut cursor = at(&bed, stretch.start);
            for word in stretch {
                let bits = expected(&bed, word).filter(|_| !hole.contains(&(word / UNIT_WORDS)));
                assert_eq!(cursor.entry(), bits, "word {word}");
                cursor = cursor.next();
            }
        }
        let before = hole.start * UNIT_WORDS - 7;
        let (edge, count) = at(&bed, before).forward_or_boundary(usize::MAX);
        assert_eq!((edge.entry(), count), (None, 7));
        let (further, count) = edge.forward(2).forward_or_boundary(usize::MAX);
        assert_eq!((further.entry(), count), (None, UNIT_WORDS - 2));
        let behind = at(&bed, before).forward(7 + hole.len() * UNIT_WORDS);
        assert_eq!(behind.entry(), expected(&bed, hole.end * UNIT_WORDS));
    }
}

#[test]
fn the_special_bit_is_one_bit() {
    let bed = Top8::new(Lie::Apart).without(9..10);
    let word = Top8::ARENA_WORDS + 1;
    assert!(at(&bed, word).set_special(true));
    let others = (0..Top8::WORDS).step_by(every(13));
    for other in others.chain([word - 1, word, word + 1]) {
        assert_eq!(bed.bits(other), (false, other == word));
    }
    assert!(at(&bed, word).set_special(false));
    assert_eq!(at(&bed, word).entry(), Some(Entry::DEAD));
    assert!(!at(&bed, 9 * UNIT_WORDS).set_special(true));
}
