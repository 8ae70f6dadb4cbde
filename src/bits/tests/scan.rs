//! Reading objects: what was described comes out, whole or in parts.

use alloc::vec::Vec;

use archipelago_api::VirtAddr;

use super::bed::{Bed, Lie, Top};
use super::every;
use crate::bits::{Description, HeapBits, PointerMap, PointerWords, UNIT_WORDS, describe};
use fastrand::Rng;

fn read_back<const W: usize>(lie: Lie) {
    let bed = Bed::<Top, W>::new(lie);
    let arena = Bed::<Top, W>::ARENA_WORDS;
    let mut random = Rng::with_seed(W as u64);
    for _ in (0..3000).step_by(every(1000)) {
        let words = 1 + random.usize(..12);
        let mask = u128::from(random.u64(..)) & ((1 << words) - 1);
        let map = PointerMap::from_mask(words, mask);
        let count = random.usize(..50);
        let slot_words = words * count + random.usize(..5);
        let first = arena - random.usize(..slot_words + 1).min(arena);
        bed.fill_words(first..first + slot_words, || usize::MAX);
        let (slot, bytes) = (Bed::<Top, W>::address(first), slot_words * W);
        assert_eq!(
            describe(&bed, slot, bytes, &Description::array(&map, count)),
            Ok(())
        );
        let expected: Vec<usize> = (0..words * count)
            .filter(|word| mask >> (word % words) & 1 != 0)
            .map(|word| word * W)
            .collect();
        let read = PointerWords::of(&bed, slot, bytes).expect("in the space");
        assert_eq!(read.collect::<Vec<_>>(), expected);
        // In parts of whatever length, each read by itself.
        let (mut parts, mut from) = (Vec::new(), 0);
        while from < bytes {
            let to = (from + W * (1 + random.usize(..70))).min(bytes);
            parts.extend(PointerWords::within(&bed, slot, from..to).expect("in the space"));
            from = to;
        }
        assert_eq!(parts, expected);
    }
}

#[test]
fn the_words_that_were_described_are_read_back() {
    for lie in [Lie::Adjacent, Lie::Apart] {
        read_back::<4>(lie);
        read_back::<8>(lie);
    }
}

/// Whether the special bit is set or not, the same words are read.
#[test]
fn the_special_bit_ends_no_scan() {
    let bed = Bed::<Top, 8>::new(Lie::Apart);
    for first in (0..2 * UNIT_WORDS).step_by(every(19)) {
        for mask in 0..16 {
            let map = PointerMap::from_mask(4, mask);
            let slot = Bed::<Top, 8>::address(first);
            assert_eq!(describe(&bed, slot, 32, &Description::one(&map)), Ok(()));
            let read = || -> Vec<usize> {
                PointerWords::of(&bed, slot, 32)
                    .expect("in the space")
                    .collect()
            };
            let plain = read();
            assert_eq!(plain.len(), mask.count_ones() as usize, "mask {mask:#b}");
            let second = HeapBits::at(&bed, slot).expect("in the space").next();
            assert!(second.set_special(true));
            assert_eq!(read(), plain);
        }
    }
}

#[test]
fn where_there_are_no_bits_there_are_no_pointers() {
    let bed = Bed::<Top, 8>::new(Lie::Apart).without(3..4);
    bed.fill(|| usize::MAX);
    let slot = Bed::<Top, 8>::address(2 * UNIT_WORDS);
    let read = PointerWords::of(&bed, slot, 4 * UNIT_WORDS * 8).expect("in the space");
    assert_eq!(read.count(), UNIT_WORDS);
    assert!(PointerWords::of(&bed, VirtAddr::new(0), 8).is_none());
    let none = PointerWords::of(&bed, slot, 0).expect("in the space");
    assert_eq!(none.count(), 0);
    // The last words of the address space, and no step beyond.
    let last = Bed::<Top, 8>::address(Bed::<Top, 8>::WORDS - 3);
    let read = PointerWords::of(&bed, last, 24).expect("in the space");
    assert_eq!(read.collect::<Vec<_>>(), [0, 8, 16]);
}
