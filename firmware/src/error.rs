//! Why a heap was not given its block.

use core::fmt;

/// Why a heap was not given its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// The block, or what is left of it below the end of the address space, holds no page for
    /// objects beside the metadata.
    TooSmall {
        /// Bytes of the block.
        bytes: usize,
    },
    /// The heap has a block already.
    AlreadyInitialised,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall { bytes } => {
                write!(f, "a block of {bytes} bytes has no page for objects")
            }
            Self::AlreadyInitialised => f.write_str("the heap has a block already"),
        }
    }
}

impl core::error::Error for InitError {}
