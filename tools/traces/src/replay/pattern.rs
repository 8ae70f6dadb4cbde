//! The contents that blocks are filled with: bytes that depend on the block and on the place in it.

use core::mem::MaybeUninit;

const WORD_BYTES: usize = 8;

/// Odd constants that spread the bits of ids and of places.
const ID_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const PLACE_FACTOR: u64 = 0xbf58_476d_1ce4_e5b9;

/// A byte that differs from the expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) index: usize,
    pub(super) expected: u8,
    pub(super) found: u8,
}

/// Fills a block.
pub(super) fn fill(block: &mut [MaybeUninit<u8>], id: u32) {
    for (word, bytes) in words(id).zip(block.chunks_mut(WORD_BYTES)) {
        for (byte, value) in bytes.iter_mut().zip(word.to_le_bytes()) {
            byte.write(value);
        }
    }
}

/// The first byte of a block that is not as [`fill`] left it. `block` may be the beginning of one.
pub(super) fn difference(block: &[u8], id: u32) -> Option<Difference> {
    differs(block, words(id))
}

/// The first byte that is not zero.
pub(super) fn nonzero(block: &[u8]) -> Option<Difference> {
    differs(block, core::iter::repeat(0))
}

/// The words that the block `id` is filled with, one after another.
fn words(id: u32) -> impl Iterator<Item = u64> {
    let first = (u64::from(id) + 1).wrapping_mul(ID_FACTOR);
    let next = |word: &u64| Some(word.wrapping_add(PLACE_FACTOR));
    core::iter::successors(Some(first), next).map(|word| word ^ word >> 29)
}

fn differs(block: &[u8], words: impl Iterator<Item = u64>) -> Option<Difference> {
    for (place, (word, bytes)) in words.zip(block.chunks(WORD_BYTES)).enumerate() {
        let expected = word.to_le_bytes();
        if bytes == &expected[..bytes.len()] {
            continue;
        }
        let mut pairs = expected.into_iter().zip(bytes.iter().copied());
        let byte = pairs.position(|(expected, found)| expected != found)?;
        return Some(Difference {
            index: place * WORD_BYTES + byte,
            expected: expected[byte],
            found: bytes[byte],
        });
    }
    None
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec::Vec;

    use super::*;

    fn filled(length: usize, id: u32) -> Vec<u8> {
        let mut block = alloc::vec![MaybeUninit::new(0); length];
        fill(&mut block, id);
        // SAFETY: every byte was initialised above.
        block
            .iter()
            .map(|byte| unsafe { byte.assume_init() })
            .collect()
    }

    #[test]
    fn a_filled_block_and_its_beginnings_have_no_difference() {
        for length in 0..100 {
            let block = filled(length, 7);
            for beginning in 0..=length {
                assert_eq!(difference(&block[..beginning], 7), None);
            }
        }
    }

    #[test]
    fn every_byte_counts() {
        let block = filled(45, 3);
        for index in 0..block.len() {
            let mut changed = block.clone();
            changed[index] ^= 0x10;
            let expected = block[index];
            let found = changed[index];
            let difference = difference(&changed, 3);
            assert_eq!(
                difference,
                Some(Difference {
                    index,
                    expected,
                    found
                })
            );
        }
    }

    #[test]
    fn blocks_and_places_differ() {
        for id in 0..100 {
            assert!(difference(&filled(16, id), id + 1).is_some());
            let block = filled(32, id);
            assert!(difference(&block[8..], id).is_some());
            assert!(nonzero(&block).is_some());
        }
    }

    #[test]
    fn the_first_byte_that_is_not_zero_is_found() {
        assert_eq!(nonzero(&[0; 21]), None);
        let found = nonzero(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 6]);
        let expected = Difference {
            index: 9,
            expected: 0,
            found: 5,
        };
        assert_eq!(found, Some(expected));
    }
}
