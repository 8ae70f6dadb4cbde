//! The place of the heap bitmap's bits of a span's slots, found from the span's record without a
//! lookup.
//!
//! A record says how far from itself the bits of the span's first word are, and how many of its
//! first slots have their bits side by side from there on: all slots, unless two parts of the
//! bitmap cover the span. The distance counts units, so 31 bits reach all of a 32-bit space, and 8
//! GiB of a 64-bit one to either side. Bits that are farther away, as they can be in a larger heap,
//! and those of later slots, are looked up by address.
//!
//! Both numbers are written under the central lock after the bits that cover the span were claimed,
//! and withdrawn under it before the claim is given up. So as long as the span is in use, the bits
//! are Ready and stay where they are, and a holder of one of the slots, or of the lock, may go
//! there. No other order is needed: a slot is taken under the lock, after the numbers were written.

use core::mem::size_of;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use archipelago_api::{Machine, VirtAddr};

use super::distance::RecordAddress;
use super::record::{Record, WIDE_SLOTS};
use super::slots::SpanRef;
use super::tokens::NewSlot;

/// Bits of a record's kind from here up: how many slots are near.
const NEAR_SHIFT: u32 = 21;
const _: () = assert!(
    WIDE_SLOTS < 1 << (u32::BITS - NEAR_SHIFT),
    "all slots can be near"
);

/// Bytes of a unit.
const UNIT_BYTES: isize = 0_isize.wrapping_add_unsigned(size_of::<AtomicUsize>());

/// The address of the bits of a span's first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BitsPlace(VirtAddr);

impl Record {
    /// How many of the span's first slots have their bits where the record says.
    #[inline(always)]
    pub(crate) fn near_slots(&self) -> u32 {
        near_slots(self.kind_word())
    }

    /// How far away those bits are.
    pub(crate) fn bits_distance(&self) -> i32 {
        i32::from_ne_bytes(self.tag.load(Relaxed).to_ne_bytes())
    }

    /// Notes that so many of the first slots of the span, which was just described and marked, have
    /// their bits side by side, so far away.
    pub(crate) fn set_bits(&self, distance: i32, near_slots: u32) {
        let kind = self.kind_word() & ((1 << NEAR_SHIFT) - 1);
        self.tag
            .store(u32::from_ne_bytes(distance.to_ne_bytes()), Relaxed);
        self.kind.store(kind | near_slots << NEAR_SHIFT, Relaxed);
    }
}

#[inline(always)]
const fn near_slots(kind: u32) -> u32 {
    kind >> NEAR_SHIFT
}

impl SpanRef<'_> {
    /// The place of the bits of `slot`, for a caller who holds the central lock;
    /// `None` if they are not near.
    #[inline(always)]
    pub(crate) fn bits_place(self, slot: usize) -> Option<BitsPlace> {
        BitsPlace::near(self.record, self.address, near_slots(self.kind), slot)
    }
}

impl NewSlot<'_> {
    /// The place of the slot's bits; `None` if they are not near.
    #[inline(always)]
    pub(crate) fn bits_place(&self) -> Option<BitsPlace> {
        let record = self.record();
        BitsPlace::near(record, self.address, record.near_slots(), self.number())
    }
}

impl BitsPlace {
    /// The place that the record at `address` gives, if `slot` is among the first `near_slots`.
    #[inline(always)]
    fn near(record: &Record, address: RecordAddress, near_slots: u32, slot: usize) -> Option<Self> {
        let is_near = slot < near_slots as usize;
        is_near.then(|| Self::seen_from(address.get(), record.bits_distance()))
    }

    #[inline(always)]
    const fn seen_from(record: VirtAddr, distance: i32) -> Self {
        let bytes = (distance as isize).wrapping_mul(UNIT_BYTES);
        Self(VirtAddr::new(record.value().wrapping_add_signed(bytes)))
    }

    /// How many units above the record at `record` the unit at `unit` is, if the record can say so.
    pub(crate) fn distance(record: VirtAddr, unit: VirtAddr) -> Option<i32> {
        let bytes = unit.value().wrapping_sub(record.value());
        let distance = i32::try_from(0_isize.wrapping_add_unsigned(bytes) / UNIT_BYTES).ok()?;
        // The two highest bits of a tag differ, and those of a distance do not.
        (distance << 1 >> 1 == distance).then_some(distance)
    }

    /// `count` units from number `first` on.
    ///
    /// # Safety
    /// - The place is a record's, and the units are those of a slot that is near.
    /// - The span stays in use as long as the units are: the caller has a slot of it, or the
    ///   central lock.
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
        // SAFETY: `add` stays inside one part of the bitmap, which lies in one window: the units of
        // slots that are near do, and these are some of them by the caller's promise.
        let start = unsafe { start.add(first) };
        // SAFETY: `from_raw_parts` needs the units
        // - aligned: records and parts are;
        // - initialised and live: the bitmap that covers a span is Ready while the span is in use,
        //   and it is by the caller's promise;
        // - changed through atomics alone: they are atomics.
        unsafe { core::slice::from_raw_parts(start.as_ptr(), count) }
    }
}
