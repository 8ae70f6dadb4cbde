//! Reading objects, whole and in parts: the pointers are those that were described.

use alloc::vec::Vec;

use archipelago_api::VirtAddr;

use super::every;
use super::fixture::{Placement, TestTables, Top};
use crate::bits::{Description, HeapBits, PointerMap, PointerWords, UNIT_WORDS, describe};
use fastrand::Rng;

fn read_back<const W: usize>(placement: Placement) {
    let tables = TestTables::<Top, W>::new(placement);
    let arena = TestTables::<Top, W>::ARENA_WORDS;
    let mut random = Rng::with_seed(W as u64);
    for _ in (0..3000).step_by(every(1000)) {
        let words = 1 + random.usize(..12);
        let mask = u128::from(random.u64(..)) & ((1 << words) - 1);
        let map = PointerMap::from_mask(words, mask);
        let count = random.usize(..50);
        let slot_words = words * count + random.usize(..5);
        let first = arena - random.usize(..slot_words + 1).min(arena);
        tables.fill_words(first..first + slot_words, || usize::MAX);
        let (slot, bytes) = (TestTables::<Top, W>::address(first), slot_words * W);
        assert_eq!(
            describe(&tables, slot, bytes, &Description::array(&map, count)),
            Ok(())
        );
        let expected: Vec<usize> = (0..words * count)
            .filter(|word| mask >> (word % words) & 1 != 0)
            .map(|word| word * W)
            .collect();
        let read = PointerWords::of(&tables, slot, bytes).expect("in the space");
        assert_eq!(read.collect::<Vec<_>>(), expected);
        // In parts of whatever length, each read by itself.
        let (mut parts, mut from) = (Vec::new(), 0);
        while from < bytes {
            let to = (from + W * (1 + random.usize(..70))).min(bytes);
            parts.extend(PointerWords::within(&tables, slot, from..to).expect("in the space"));
            from = to;
        }
        assert_eq!(parts, expected);
    }
}

#[test]
fn the_words_that_were_described_are_read_back() {
    for placement in [Placement::Adjacent, Placement::Apart] {
        read_back::<4>(placement);
        read_back::<8>(placement);
    }
}

/// Whether the special bit is set or not, the same words are read.
#[test]
fn the_special_bit_ends_no_scan() {
    let tables = TestTables::<Top, 8>::new(Placement::Apart);
    for first in (0..2 * UNIT_WORDS).step_by(every(19)) {
        for mask in 0..16 {
            let map = PointerMap::from_mask(4, mask);
            let slot = TestTables::<Top, 8>::address(first);
            assert_eq!(describe(&tables, slot, 32, &Description::one(&map)), Ok(()));
            let read = || -> Vec<usize> {
                PointerWords::of(&tables, slot, 32)
                    .expect("in the space")
                    .collect()
            };
            let plain = read();
            assert_eq!(plain.len(), mask.count_ones() as usize, "mask {mask:#b}");
            let second = HeapBits::at(&tables, slot).expect("in the space").next();
            assert!(second.set_special(true));
            assert_eq!(read(), plain);
        }
    }
}

#[test]
fn where_there_are_no_bits_there_are_no_pointers() {
    let tables = TestTables::<Top, 8>::new(Placement::Apart).without(3..4);
    tables.fill(|| usize::MAX);
    let slot = TestTables::<Top, 8>::address(2 * UNIT_WORDS);
    let read = PointerWords::of(&tables, slot, 4 * UNIT_WORDS * 8).expect("in the space");
    assert_eq!(read.count(), UNIT_WORDS);
    assert!(PointerWords::of(&tables, VirtAddr::new(0), 8).is_none());
    let none = PointerWords::of(&tables, slot, 0).expect("in the space");
    assert_eq!(none.count(), 0);
    // The last words of the address space, and no step beyond.
    let last = TestTables::<Top, 8>::address(TestTables::<Top, 8>::WORDS - 3);
    let read = PointerWords::of(&tables, last, 24).expect("in the space");
    assert_eq!(read.collect::<Vec<_>>(), [0, 8, 16]);
}
