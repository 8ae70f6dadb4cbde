//! The bits of a slot: set when an object is allocated in it, cleared when the slot is freed.
//!
//! The words of a free slot are dead. So the bits of a new object, up to its last pointer, are only
//! set: nothing has to be read before that. The bits of a slot that is freed are only cleared. Each
//! unit is changed by one atomic instruction, without a lock, and its other bits belong to
//! neighbours.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::format::{self, UNIT_WORDS};
use super::masks::{self, MASKED_WORDS, Masks};

/// The units of some words of a slot, counted from a unit that the caller knows: that of the span's
/// first word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotBits {
    /// The number of the first unit.
    pub(crate) first: usize,
    /// How many units there are.
    pub(crate) units: usize,
    /// The first word's place in the first unit.
    shift: usize,
    /// The last word's place, counted from the first word of the first unit.
    last: usize,
}

impl SlotBits {
    /// The bits of word `first` and of the `more` words that follow.
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

    /// Sets the bits of a value with these masks, up to its last pointer, over dead words. `units`
    /// are those of the words.
    #[inline(always)]
    pub(crate) fn set(self, units: &[AtomicUsize], masks: &Masks) {
        let by = self.shift;
        if let [unit] = units {
            format::set(unit, masks.first << by);
            return;
        }
        let (pointers, scan) = (masks.pointers << by, masks.scan << by);
        for index in 0..MASK_UNITS {
            let Some(unit) = units.get(index) else {
                return;
            };
            let below = index * UNIT_WORDS;
            format::set(unit, masks::low_unit(pointers >> below, scan >> below));
        }
        if let Some(unit) = units.get(MASK_UNITS) {
            // The bits that were shifted out; if none were, there is no such unit.
            let out =
                |mask: u64| masks::low_bits(mask >> (MASKED_WORDS.wrapping_sub(by) % MASKED_WORDS));
            format::set(unit, format::unit(out(masks.pointers), out(masks.scan)));
        }
    }

    /// Makes the words dead. `units` are those of the words.
    #[inline(always)]
    pub(crate) fn clear(self, units: &[AtomicUsize]) {
        let ones = format::low(UNIT_WORDS);
        let (head, tail) = (
            ones << self.shift & ones,
            ones >> (UNIT_WORDS - 1 - self.last % UNIT_WORDS),
        );
        let both = |words| format::unit(words, words);
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

/// Units that masks fill, from the first word of a unit.
const MASK_UNITS: usize = MASKED_WORDS / UNIT_WORDS;
