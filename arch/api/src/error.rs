//! The errors of a machine's calls.

use core::fmt;

use crate::VirtRange;

/// A lock around the mapper or the frame allocator is held, and the caller must not wait for it.
/// The range is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// The reasons why a range could not be reserved. The whole range is in state None, as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReserveError {
    /// A part of the range is in use already.
    Occupied {
        /// The part of the range that was found occupied.
        occupied: VirtRange,
    },
    /// The range reaches beyond the addresses that this machine serves.
    Outside {
        /// The range that was asked for.
        range: VirtRange,
    },
    /// See [`Busy`].
    Busy,
}

/// The reasons why a range could not be prepared. The whole range is Reserved, as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrepareError {
    /// There were not enough frames for page tables.
    PageTables {
        /// Frames that the tables of the range need.
        needed: usize,
        /// Frames that were available; they have been given back or are held.
        available: usize,
    },
    /// See [`Busy`].
    Busy,
}

/// The reasons why a range could not be committed. The whole range is Prepared, as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitError {
    /// There were not enough frames.
    Frames {
        /// Frames that the range needs.
        needed: usize,
        /// Frames that were available; they have been given back or are held.
        available: usize,
    },
    /// The machine has no so many adjacent frames, or does not supply adjacent ones at all.
    Adjacent {
        /// Frames that the range needs.
        needed: usize,
    },
    /// See [`Busy`].
    Busy,
}

impl From<Busy> for ReserveError {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

impl From<Busy> for PrepareError {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

impl From<Busy> for CommitError {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

const BUSY: &str = "a lock of the machine is busy and the caller must not wait: try again where \
    waiting is allowed";

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BUSY)
    }
}

impl fmt::Display for ReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied { occupied } => write!(
                f,
                "{occupied} is occupied already: choose a window without it"
            ),
            Self::Outside { range } => write!(
                f,
                "{range} lies outside the addresses that the machine serves: choose a \
                 window inside them"
            ),
            Self::Busy => f.write_str(BUSY),
        }
    }
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PageTables { needed, available } => {
                write!(
                    f,
                    "page tables: {needed} frames needed, {available} available: free memory, or \
                     give the frame allocator more"
                )
            }
            Self::Busy => f.write_str(BUSY),
        }
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames { needed, available } => {
                write!(
                    f,
                    "frames: {needed} needed, {available} available: free memory, or give the frame \
                     allocator more"
                )
            }
            Self::Adjacent { needed } => {
                write!(
                    f,
                    "frames: {needed} adjacent ones cannot be had: ask early, or have the machine \
                     use a source that supplies them"
                )
            }
            Self::Busy => f.write_str(BUSY),
        }
    }
}

impl core::error::Error for Busy {}
impl core::error::Error for ReserveError {}
impl core::error::Error for PrepareError {}
impl core::error::Error for CommitError {}
