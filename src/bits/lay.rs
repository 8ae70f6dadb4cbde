//! Bits over dead words, and dead words again: what the heap does to a slot that is taken and freed.
//!
//! The words of a slot that nobody has are dead. So the bits of a new object need only be set,
//! those up to its last pointer, and nothing has to be read before that or put together with what
//! was there; and those of an object that goes need only be cleared. Each unit is changed by one
//! atomic instruction, without a lock: its other bits belong to neighbours.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::format::{self, UNIT_WORDS};
use super::masks::{MASKED_WORDS, Masks};
use super::seed::{Seed, Sound};

/// Where words have their bits, from the first word of some unit on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// The unit of the first of them, counted from that unit.
    pub(crate) first: usize,
    /// How many units they have.
    pub(crate) units: usize,
    /// The first word's place in its unit.
    shift: usize,
    /// The place of the last, counted from the first unit's first word.
    last: usize,
}

impl Extent {
    /// Word `first` and `more` words behind it.
    #[inline(always)]
    pub(crate) const fn new(first: usize, more: usize) -> Self {
        let shift = first % UNIT_WORDS;
        let last = shift + more;
        Self {
            first: first / UNIT_WORDS,
            units: 1 + last / UNIT_WORDS,
            shift,
            last,
        }
    }

    /// Makes the words, which are dead, those of a value with these masks, up to its last pointer.
    /// `units` are theirs.
    #[inline(always)]
    pub(crate) fn set(self, units: &[AtomicUsize], masks: &Masks) {
        self.set_with(units, masks, Sound);
    }

    /// The same, with a fault if a test plants one.
    #[inline(always)]
    pub(super) fn set_with<S: Seed>(self, units: &[AtomicUsize], masks: &Masks, seed: S) {
        let by = seed.shift(self.shift);
        if let [_] = units {
            seed.set(units, 0, masks.first << by);
            return;
        }
        let (pointers, scan) = (masks.pointers << by, masks.scan << by);
        for index in 0..MASK_UNITS {
            if index >= units.len() {
                return;
            }
            let below = index * UNIT_WORDS;
            seed.set(units, index, unit_of(pointers >> below, scan >> below));
        }
        if units.len() > MASK_UNITS {
            // What was shifted out; if nothing was, there is no such unit.
            let out = |mask: u64| cut(mask >> (MASKED_WORDS.wrapping_sub(by) % MASKED_WORDS));
            let bits = format::unit(out(masks.pointers), out(masks.scan));
            seed.set(units, MASK_UNITS, bits);
        }
    }

    /// Makes the words dead. `units` are theirs.
    #[inline(always)]
    pub(crate) fn clear(self, units: &[AtomicUsize]) {
        self.clear_with(units, Sound);
    }

    /// The same, with a fault if a test plants one.
    #[inline(always)]
    pub(super) fn clear_with<S: Seed>(self, units: &[AtomicUsize], seed: S) {
        let ones = format::low(UNIT_WORDS);
        let (head, tail) = (
            ones << self.shift & ones,
            ones >> (UNIT_WORDS - 1 - self.last % UNIT_WORDS),
        );
        let both = |words| seed.cleared(format::unit(words, words));
        match units {
            [] => {}
            [one] => format::clear(one, both(head & tail)),
            [first, inner @ .., last] => {
                format::clear(first, both(head));
                for unit in inner {
                    unit.store(0, Relaxed);
                }
                format::clear(last, both(tail));
            }
        }
    }
}

/// Units that masks fill, from the first word of one.
const MASK_UNITS: usize = MASKED_WORDS / UNIT_WORDS;

/// The unit with the lowest bits of these masks.
#[inline(always)]
fn unit_of(pointers: u64, scan: u64) -> usize {
    let low = format::low(UNIT_WORDS);
    format::unit(cut(pointers) & low, cut(scan) & low)
}

/// The lowest bits of a mask.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the others go")]
const fn cut(mask: u64) -> usize {
    mask as usize
}
