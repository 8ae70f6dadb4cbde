//! The address of a record that a sparse bitmap needs, for a flat one that does not.

use archipelago_api::VirtAddr;

/// The address of a record, which is not needed here.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordAddress;

impl RecordAddress {
    #[inline(always)]
    pub(super) const fn new(_: VirtAddr) -> Self {
        Self
    }
}
