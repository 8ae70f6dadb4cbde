//! The errors of [`FirmwareHeap::init`](crate::FirmwareHeap::init).

use core::fmt;

use archipelago_api::VirtAddr;

/// A reason for which a heap was not given its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// The block has no page for objects beside the metadata. The last page of the address space
    /// does not count: no pointer range can describe its end.
    TooSmall {
        /// Where the block begins.
        start: VirtAddr,
        /// Bytes of the block.
        bytes: usize,
        /// Bytes of a page.
        page: usize,
    },
    /// The block wraps past the top of the address space.
    Wraps {
        /// Where the block begins.
        start: VirtAddr,
        /// Bytes of the block.
        bytes: usize,
    },
    /// The heap has a block already, or another call is about to give it one.
    AlreadyInitialised,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall { start, bytes, page } => write!(
                f,
                "the block of {bytes} bytes at {start} has no page of {page} bytes for objects"
            ),
            Self::Wraps { start, bytes } => write!(
                f,
                "the block of {bytes:#x} bytes at {start} wraps past the top of the address space"
            ),
            Self::AlreadyInitialised => f.write_str("the heap has a block already"),
        }
    }
}

impl core::error::Error for InitError {}
