//! The fast path of writing: the units of one value of up to 128 words, copied into a piece of the
//! bitmap.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::format::{self, UNIT_WORDS};
use super::map::Units;

/// Writes the bits of `count` words from word `first` of the first of `units`: those that `bits`
/// has for a value at the first word of a unit. `None` if there are too few units; nothing was
/// written then.
#[inline(always)]
pub(super) fn copy(units: &[AtomicUsize], first: usize, count: usize, bits: &Units) -> Option<()> {
    let end = first + count;
    if end <= UNIT_WORDS {
        format::replace(units.first()?, format::both(first, count), bits[0] << first);
    } else if first == 0 && count == 2 * UNIT_WORDS {
        let [one, two, ..] = units else {
            return None;
        };
        one.store(bits[0], Relaxed);
        two.store(bits[1], Relaxed);
    } else {
        copy_several(units.get(..end.div_ceil(UNIT_WORDS))?, first, end, bits);
    }
    Some(())
}

/// [`copy`] for words that have all of these units, of which there are several. The words end
/// before word `end`, counted from the first word of the first unit.
#[inline(never)]
fn copy_several(units: &[AtomicUsize], first: usize, end: usize, bits: &Units) {
    let head = !format::both(0, first);
    let tail = format::both(0, 1 + (end - 1) % UNIT_WORDS);
    // No loop for up to 64 words, which is most values.
    match units {
        [one, two] => {
            format::replace(one, head, format::shifted(0, bits[0], first));
            format::replace(two, tail, format::shifted(bits[0], bits[1], first));
        }
        [one, two, three] => {
            format::replace(one, head, format::shifted(0, bits[0], first));
            two.store(format::shifted(bits[0], bits[1], first), Relaxed);
            format::replace(three, tail, format::shifted(bits[1], bits[2], first));
        }
        _ => {
            let (mut before, mut own) = (0, head);
            let following = bits.iter().copied().chain(core::iter::repeat(0));
            for (index, (unit, next)) in units.iter().zip(following).enumerate() {
                if index + 1 == units.len() {
                    own &= tail;
                }
                put(unit, own, format::shifted(before, next, first));
                (before, own) = (next, usize::MAX);
            }
        }
    }
}

/// Gives the bits in `own` the values that they have in `bits`.
#[inline]
pub(super) fn put(unit: &AtomicUsize, own: usize, bits: usize) {
    if own == usize::MAX {
        unit.store(bits, Relaxed);
    } else {
        format::replace(unit, own, bits);
    }
}
