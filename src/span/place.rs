//! Where the bits of a span's slots are: found from its record, without a lookup.
//!
//! A record says how far from itself the bits of the span's first word are, and how many of its
//! first slots have theirs side by side from there on: all of them, but in a span that lies behind
//! two parts of the bitmap. The distance counts units, so that 32 bits reach all of a 32-bit space,
//! and 16 GiB of a 64-bit one to either side: the bitmap of half a TiB, whose records are made about
//! when their bits are. Of bits that are farther away, and of slots that are not among the first,
//! the record says nothing: they are looked up by address.
//!
//! Both numbers are written under the central lock when the bits in front of the span have been
//! claimed, and withdrawn under it before the claim is given up. So as long as the span is in use,
//! what they lead to is Ready and stays where it is: whoever has one of the slots, or the lock, may
//! go there. No other order is needed: a slot is taken under the lock, after they were written.

use core::mem::size_of;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use archipelago_api::{Machine, VirtAddr};

use super::record::Record;
use super::slots::SpanRef;

/// Bytes of a unit.
const UNIT_BYTES: isize = 0_isize.wrapping_add_unsigned(size_of::<AtomicUsize>());

/// Where the bits of a span's first word are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BitsPlace(VirtAddr);

impl Record {
    /// Where the bits are among which those of `slot` are, one that is the caller's; `None` if they
    /// are not near. The record is at `address`.
    #[inline(always)]
    pub(crate) fn bits_place(&self, address: VirtAddr, slot: usize) -> Option<BitsPlace> {
        BitsPlace::near(self, address, self.near_slots(), slot)
    }
}

impl SpanRef<'_> {
    /// The same, for a caller who holds the central lock.
    #[inline(always)]
    pub(crate) fn bits_place(self, slot: usize) -> Option<BitsPlace> {
        BitsPlace::near(self.record, self.address, self.near_slots(), slot)
    }
}

impl BitsPlace {
    /// What the record at `address` says, if `slot` is among the first `near_slots`.
    #[inline(always)]
    fn near(record: &Record, address: VirtAddr, near_slots: u32, slot: usize) -> Option<Self> {
        let is_near = slot < near_slots as usize;
        is_near.then(|| Self::seen_from(address, record.bits_distance.load(Relaxed)))
    }

    #[inline(always)]
    const fn seen_from(record: VirtAddr, distance: i32) -> Self {
        let bytes = (distance as isize).wrapping_mul(UNIT_BYTES);
        Self(VirtAddr::new(record.value().wrapping_add_signed(bytes)))
    }

    /// How many units above the record at `record` the unit at `unit` is, if the record can say so.
    pub(crate) fn distance(record: VirtAddr, unit: VirtAddr) -> Option<i32> {
        let bytes = unit.value().wrapping_sub(record.value());
        i32::try_from(0_isize.wrapping_add_unsigned(bytes) / UNIT_BYTES).ok()
    }

    /// `count` units from number `first` on.
    ///
    /// # Safety
    /// The place is a record's, the units are those of a slot that is near, and as long as the
    /// answer is used the span stays in use: the caller has a slot of it, or the central lock.
    #[inline(always)]
    pub(crate) unsafe fn units<'a, M: Machine>(
        self,
        machine: &M,
        first: usize,
        count: usize,
    ) -> &'a [AtomicUsize] {
        let Self(address) = self;
        // SAFETY: the bits are metadata memory, and no window reaches address 0.
        unsafe { core::hint::assert_unchecked(address.value() != 0) };
        let start: NonNull<AtomicUsize> = machine.pointer(address).cast();
        // SAFETY: the units of slots that are near lie in one part of the bitmap, which lies in one
        // window, and these are some of them by the caller's promise.
        let start = unsafe { start.add(first) };
        // SAFETY: aligned, for records and parts are; Ready, initialised and shared through atomics
        // alone, as what is in front of a span is while it is in use, and it is by the caller's
        // promise.
        unsafe { core::slice::from_raw_parts(start.as_ptr(), count) }
    }
}
