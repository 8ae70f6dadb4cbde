//! Why a request was refused.

use core::fmt;

use archipelago_api::{CommitError, PrepareError};

/// Which step refused a request, with figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The heap has not been initialised, and the early heap has no room.
    NotInitialised,
    /// No size class and no run of pages can be that large or that aligned.
    TooLarge {
        /// Bytes asked for, with alignment.
        bytes: usize,
    },
    /// The request must not grow the heap, and no memory that is Ready fits it.
    NotReady {
        /// Bytes that would have had to become Ready.
        bytes: usize,
    },
    /// No window has that much address space left in one piece.
    Window {
        /// Bytes asked for.
        bytes: usize,
        /// Bytes of the largest piece of address space that is left.
        largest: usize,
    },
    /// No address space is left for metadata.
    MetadataWindow {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The frame source ran out.
    Frames {
        /// Frames that were needed.
        needed: usize,
        /// Frames that could be had.
        available: usize,
    },
    /// The frame source ran out while page tables were made.
    PageTables {
        /// Frames that were needed.
        needed: usize,
        /// Frames that could be had.
        available: usize,
    },
    /// The limit on Ready memory would be passed.
    Limit {
        /// Bytes that would have become Ready.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
        /// Bytes Ready now.
        mapped_ready: usize,
    },
    /// The machine is in use, and a request made with interrupts masked does not wait for it.
    Busy,
    /// The description of an object is longer than the object.
    #[cfg(feature = "heap-bits")]
    Description {
        /// Bytes that are described.
        bytes: usize,
        /// Bytes of its layout.
        room: usize,
    },
    /// The object is a scannable one, and the request does not say where the pointers will be.
    #[cfg(feature = "heap-bits")]
    Scannable,
}

impl Cause {
    /// Bytes of memory that would have helped, on a machine with granules of `granule` bytes; 0 if
    /// the refusal was not for want of memory.
    pub(crate) const fn missing_bytes(self, granule: usize) -> usize {
        match self {
            Self::Frames { needed, available } | Self::PageTables { needed, available } => {
                needed.saturating_sub(available).saturating_mul(granule)
            }
            Self::Limit {
                bytes,
                limit,
                mapped_ready,
            } => mapped_ready.saturating_add(bytes).saturating_sub(limit),
            _ => 0,
        }
    }

    /// This refusal of a part, as one of the whole: of `all` bytes, `done` of which became Ready
    /// before and do not stay so. A frame is of `granule` bytes.
    pub(crate) const fn for_all(self, all: usize, done: usize, granule: usize) -> Self {
        match self {
            Self::Frames { available, .. } => Self::Frames {
                needed: all / granule,
                available: available.saturating_add(done / granule),
            },
            Self::Limit {
                limit,
                mapped_ready,
                ..
            } => Self::Limit {
                bytes: all,
                limit,
                mapped_ready: mapped_ready.saturating_sub(done),
            },
            other => other,
        }
    }
}

impl From<PrepareError> for Cause {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::PageTables { needed, available } => {
                Self::PageTables { needed, available }
            }
            _ => Self::Busy,
        }
    }
}

impl From<CommitError> for Cause {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Frames { needed, available } => Self::Frames { needed, available },
            _ => Self::Busy,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialised => {
                f.write_str("the heap is not initialised and the early heap has no room")
            }
            Self::TooLarge { bytes } => {
                write!(f, "class: {bytes} bytes are more than a run can be")
            }
            Self::NotReady { bytes } => {
                write!(f, "growth: forbidden here, and {bytes} bytes are not Ready")
            }
            Self::Window { bytes, largest } => {
                write!(
                    f,
                    "window: {bytes} bytes asked, the largest piece left has {largest}"
                )
            }
            Self::MetadataWindow { bytes } => {
                write!(f, "window: no address space for {bytes} bytes of metadata")
            }
            Self::Frames { needed, available } => {
                write!(f, "frames: {needed} needed, {available} available")
            }
            Self::PageTables { needed, available } => {
                write!(
                    f,
                    "page tables: {needed} frames needed, {available} available"
                )
            }
            Self::Limit {
                bytes,
                limit,
                mapped_ready,
            } => write!(
                f,
                "limit: {bytes} bytes more than {mapped_ready} would pass the limit of {limit}"
            ),
            Self::Busy => f.write_str("growth: the machine is in use and interrupts are masked"),
            #[cfg(feature = "heap-bits")]
            Self::Description { bytes, room } => {
                write!(
                    f,
                    "heap bitmap: {bytes} bytes described of an object of {room}"
                )
            }
            #[cfg(feature = "heap-bits")]
            Self::Scannable => f.write_str("heap bitmap: a scannable object needs a description"),
        }
    }
}

impl core::error::Error for Cause {}
