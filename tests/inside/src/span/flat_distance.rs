//! A record's fields that a sparse bitmap needs, for a flat one that does not.

use core::sync::atomic::AtomicI32;

use archipelago_api::VirtAddr;

/// The field of a record that a sparse bitmap needs, and that is not used here.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct BitsDistance(AtomicI32);

/// The address of a record, which is not needed here.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordAddress;

impl RecordAddress {
    #[inline(always)]
    pub(super) const fn new(_: VirtAddr) -> Self {
        Self
    }
}
