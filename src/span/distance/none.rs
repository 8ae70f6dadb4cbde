//! Without a heap bitmap: values that take no room.

use archipelago_api::VirtAddr;

/// The empty twin of a record's address, which serves to find bits alone.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct RecordAddress;

impl RecordAddress {
    #[inline(always)]
    pub(in super::super) const fn new(_: VirtAddr) -> Self {
        Self
    }
}
