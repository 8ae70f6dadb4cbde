//! The bits of a slot in a flat bitmap, found by one subtraction: to measure by, see
//! `arena/flat_bits.rs`.

use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine, VirtAddr};

use super::super::free::{Object, Place};
use super::super::{Heap, Opened, certain};
use crate::arena::ArenaIndex;
use crate::bits::{Extent, Masks};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Describes an object with these masks in a slot that was just taken, and whose words are
    /// therefore dead.
    #[inline(always)]
    pub(super) fn describe_flat(
        &self,
        opened: &Opened<M>,
        slot: NonNull<[u8]>,
        masks: &Masks,
    ) -> bool {
        let slot = opened.machine.address(slot.cast()).ok_or(());
        let slot = certain::<K, _, _>(slot, "an object lies in a window");
        let extent = Self::flat_extent(slot, masks.words_before_last());
        // SAFETY: the words are the caller's slot's, of a scannable span.
        let units = unsafe { ArenaIndex::<M>::flat_units(extent.first, extent.units) };
        extent.set(units, masks);
        true
    }

    /// Clears the bits of a slot that is being freed. The caller holds the central lock.
    #[inline(always)]
    pub(in super::super) fn clear_flat(object: &Object<'_>) {
        let Place::Slot { class, slot } = object.place else {
            return;
        };
        if !object.span.is_scannable() {
            return;
        }
        let bytes = Self::TABLE.size(class);
        let first = object.span.record.first().address::<M>().value();
        let slot = VirtAddr::new(first.wrapping_add(slot.number() * bytes));
        let extent = Self::flat_extent(slot, bytes / M::WORD_BYTES - 1);
        // SAFETY: the words are those of a slot of a scannable span.
        let units = unsafe { ArenaIndex::<M>::flat_units(extent.first, extent.units) };
        extent.clear(units);
    }

    /// The word at `address`, and `more` words behind it.
    #[inline(always)]
    fn flat_extent(address: VirtAddr, more: usize) -> Extent {
        let offset = address.value().wrapping_sub(M::GEOMETRY.base);
        Extent::new(offset / M::WORD_BYTES, more)
    }
}
