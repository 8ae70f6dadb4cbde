//! The distance from a span's record to the heap bitmap's bits of the span.

use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use archipelago_api::VirtAddr;

/// How far from its record the bits of a span's first word are, in units.
#[derive(Debug)]
#[repr(transparent)]
pub(in super::super) struct BitsDistance(AtomicI32);

impl BitsDistance {
    /// The distance.
    #[inline(always)]
    pub(in super::super) fn get(&self) -> i32 {
        self.0.load(Relaxed)
    }

    /// Changes the distance.
    pub(in super::super) fn set(&self, distance: i32) {
        self.0.store(distance, Relaxed);
    }
}

/// The address of a record.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct RecordAddress(VirtAddr);

impl RecordAddress {
    /// Remembers `address`.
    #[inline(always)]
    pub(in super::super) const fn new(address: VirtAddr) -> Self {
        Self(address)
    }

    /// The address.
    #[inline(always)]
    pub(in super::super) const fn get(self) -> VirtAddr {
        self.0
    }
}
