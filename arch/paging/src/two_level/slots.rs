//! A set of slots.

use super::SLOT_BYTES;

/// Slots of 32 bits of address.
const SLOTS: usize = 1 << (32 - SLOT_BYTES.trailing_zeros());

/// A set of slots: those whose tables the machine made. Entries that link a table leave no bit to
/// software on every machine, so the mark is kept here.
#[derive(Debug)]
pub struct Slots([u32; SLOTS / 32]);

impl Slots {
    pub(super) const EMPTY: Self = Self([0; SLOTS / 32]);

    pub(super) fn contains(&self, slot: usize) -> bool {
        self.0[slot / 32] & bit(slot) != 0
    }

    pub(super) fn insert(&mut self, slot: usize) {
        self.0[slot / 32] |= bit(slot);
    }

    pub(super) fn remove(&mut self, slot: usize) {
        self.0[slot / 32] &= !bit(slot);
    }
}

fn bit(slot: usize) -> u32 {
    1 << (slot % 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_and_go_one_by_one_up_to_the_last() {
        let mut slots = Slots::EMPTY;
        for slot in [0, 31, 32, SLOTS - 1] {
            assert!(!slots.contains(slot));
            slots.insert(slot);
            assert!(slots.contains(slot));
        }
        slots.remove(31);
        assert!(!slots.contains(31) && slots.contains(0) && slots.contains(32));
        assert!(slots.contains(SLOTS - 1) && !slots.contains(SLOTS - 2));
    }
}
