//! The bits of a slot: set when it is taken, and cleared when it is freed.
//!
//! Most slots' bits are found from the span's record, and are then a few instructions away. The
//! others are looked up by address.

use archipelago_api::{Kernel, Machine, VirtAddr};

use super::super::free::{Object, Place};
use super::super::{Heap, Opened};
use super::view::Inside;
use crate::bits::{Masks, SlotBits, clear};
use crate::span::{Record, SizeClass, Taken};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Describes an object with these masks in a slot that was just taken, and whose words are
    /// therefore dead. Says whether it did, which it does if the slot's bits are near.
    #[inline(always)]
    pub(super) fn describe_fresh(
        &self,
        opened: &Opened<M>,
        class: SizeClass,
        taken: Taken<'_>,
        masks: &Masks,
    ) -> bool {
        let Some(place) = taken.record.bits_place(taken.address, taken.slot) else {
            return false;
        };
        let first = taken.slot * Self::TABLE.size(class) / M::WORD_BYTES;
        let bits = SlotBits::new(first, masks.words_before_last());
        // SAFETY: the place is the span's, and the words are the caller's slot's, which is near.
        let units = unsafe { place.units(&opened.machine, bits.first, bits.units) };
        bits.set(units, masks);
        true
    }

    /// Clears the bits of a slot that is being freed. The caller holds the central lock.
    #[inline(always)]
    pub(in super::super) fn clear_slot(&self, opened: &Opened<M>, object: &Object<'_>) {
        let Place::Slot { class, slot } = object.place else {
            return;
        };
        if !object.span.is_scannable() {
            return;
        }
        let (slot, bytes) = (slot.number(), Self::TABLE.size(class));
        let offset = slot * bytes;
        let Some(place) = object.span.bits_place(slot) else {
            self.clear_far(object.span.record, offset, bytes);
            return;
        };
        let bits = SlotBits::new(offset / M::WORD_BYTES, bytes / M::WORD_BYTES - 1);
        // SAFETY: the place is the span's, and the words are those of a slot that is near; the
        // caller holds the central lock.
        let units = unsafe { place.units(&opened.machine, bits.first, bits.units) };
        bits.clear(units);
    }

    /// The same where the bits have to be looked up.
    #[cold]
    #[inline(never)]
    fn clear_far(&self, record: &Record, offset: usize, bytes: usize) {
        let first = record.first().address::<M>().value();
        let slot = VirtAddr::new(first.wrapping_add(offset));
        clear(&Inside(&self.index), slot, bytes);
    }
}
