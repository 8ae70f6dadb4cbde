//! The address of a record, from which the heap bitmap's bits of its span are found.

use archipelago_api::VirtAddr;

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
