//! The way that most objects take: one value of up to 128 words, in one piece of a table.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::format::{self, UNIT_WORDS};
use super::map::Units;
use super::seed::Seed;

/// Writes the bits of `count` words from word `first` of the first of these units: those that
/// `bits` has for a value at the first word of a unit. `None` if there are too few units, and
/// nothing was written.
#[inline(always)]
pub(super) fn copy<S: Seed>(
    units: &[AtomicUsize],
    first: usize,
    count: usize,
    bits: &Units,
    seed: S,
) -> Option<()> {
    let end = first + count;
    if end <= UNIT_WORDS {
        let (own, bits) = (format::both(first, count), bits[0] << seed.shift(first));
        put_part(units.first()?, own, bits, seed);
    } else if first == 0 && count == 2 * UNIT_WORDS {
        let [one, two, ..] = units else {
            return None;
        };
        put_whole(one, bits[0], seed);
        put_whole(two, bits[1], seed);
    } else {
        copy_several(
            units.get(..end.div_ceil(UNIT_WORDS))?,
            first,
            end,
            bits,
            seed,
        );
    }
    Some(())
}

/// The same where the words have all of these units, of which there are several. They end before
/// word `end`, counted from the first unit's first.
#[inline(never)]
fn copy_several<S: Seed>(units: &[AtomicUsize], first: usize, end: usize, bits: &Units, seed: S) {
    let by = seed.shift(first);
    let head = !format::both(0, first);
    let tail = format::both(0, 1 + (end - 1) % UNIT_WORDS);
    // Straight on for up to 64 words and more.
    match units {
        [one, two] => {
            put_part(one, head, format::shifted(0, bits[0], by), seed);
            put_part(two, tail, format::shifted(bits[0], bits[1], by), seed);
        }
        [one, two, three] => {
            put_part(one, head, format::shifted(0, bits[0], by), seed);
            put_whole(two, format::shifted(bits[0], bits[1], by), seed);
            put_part(three, tail, format::shifted(bits[1], bits[2], by), seed);
        }
        _ => {
            let (mut before, mut own) = (0, head);
            let following = bits.iter().copied().chain(core::iter::repeat(0));
            for (index, (unit, next)) in units.iter().zip(following).enumerate() {
                if index + 1 == units.len() {
                    own &= tail;
                }
                put(unit, own, format::shifted(before, next, by), seed);
                (before, own) = (next, usize::MAX);
            }
        }
    }
}

/// Gives the bits in `own` the values that they have in `bits`.
#[inline]
pub(super) fn put<S: Seed>(unit: &AtomicUsize, own: usize, bits: usize, seed: S) {
    if own == usize::MAX {
        put_whole(unit, bits, seed);
    } else {
        put_part(unit, own, bits, seed);
    }
}

#[inline]
fn put_whole<S: Seed>(unit: &AtomicUsize, bits: usize, seed: S) {
    unit.store(seed.bits(unit, bits), Relaxed);
}

#[inline]
fn put_part<S: Seed>(unit: &AtomicUsize, own: usize, bits: usize, seed: S) {
    format::replace(unit, seed.own(own), seed.bits(unit, bits));
}
