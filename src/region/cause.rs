//! Why a request was refused.

use core::fmt;

use archipelago_api::{CommitError, PrepareError};

/// The step that refused a request, with figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The heap has not been initialised, and the early heap has no room.
    NotInitialised,
    /// No size class and no run of pages can be that large or that aligned.
    TooLarge {
        /// Bytes asked for, or the alignment if that is more.
        bytes: usize,
        /// Bytes that a run of pages can have at most.
        most: usize,
    },
    /// The request must not grow the heap, and no memory that is Ready fits it.
    NotReady {
        /// Bytes that would have had to become Ready.
        bytes: usize,
    },
    /// No window has that much address space left in one piece, at a multiple of the alignment.
    Window {
        /// Bytes asked for.
        bytes: usize,
        /// The alignment of the first, in bytes: a page's at least.
        align: usize,
        /// Bytes of the largest piece of address space that is left.
        largest: usize,
    },
    /// No address space is left for metadata.
    MetadataWindow {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The frame allocator ran out.
    Frames {
        /// Frames that were needed.
        needed: usize,
        /// Frames that could be had.
        available: usize,
    },
    /// The machine could not supply adjacent frames.
    Adjacent {
        /// Adjacent frames that were needed.
        needed: usize,
    },
    /// The frame allocator ran out while page tables were made.
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
    /// The pages that follow a run are not free, so that it cannot grow in place.
    NotFree {
        /// Bytes that were to follow.
        bytes: usize,
    },
    /// There is no run of so many pages with such an alignment.
    NoSuchRun {
        /// Pages asked for; a run has at least one.
        pages: usize,
        /// The alignment asked for, in bytes; a power of two.
        align: usize,
    },
    /// The machine is in use, and a request made with interrupts masked does not wait for it.
    Busy,
    /// The description of an object is longer than the object.
    Description {
        /// Bytes that are described.
        bytes: usize,
        /// Bytes of its layout.
        room: usize,
    },
    /// The object is scannable, and the request does not say where its pointers will be.
    Scannable,
}

impl Cause {
    /// Turns the refusal of a part into one of the whole: of `all` bytes, `done` of which became
    /// Ready before and do not stay so. A frame has `granule` bytes.
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

    /// Turns the refusal of a step into that of a request which needs `needed` more bytes, `had` of
    /// which could be had and do not stay. A frame has `granule` bytes.
    pub(crate) const fn beside(self, needed: usize, had: usize, granule: usize) -> Self {
        match self {
            Self::Frames {
                needed: frames,
                available,
            } => Self::Frames {
                needed: frames.saturating_add(needed / granule),
                available: available.saturating_add(had / granule),
            },
            Self::Limit {
                bytes,
                limit,
                mapped_ready,
            } => Self::Limit {
                bytes: bytes.saturating_add(needed),
                limit,
                mapped_ready: mapped_ready.saturating_sub(had),
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
            CommitError::Adjacent { needed } => Self::Adjacent { needed },
            _ => Self::Busy,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialised => f.write_str(
                "the heap is not initialised and the early heap has no room: call `init` first, or \
                 enlarge the early region",
            ),
            Self::TooLarge { bytes, most } => write!(
                f,
                "class: {bytes} bytes, of size or alignment, are more than the {most} bytes that one \
                 run of pages can have here: ask for less"
            ),
            Self::NotReady { bytes } => write!(
                f,
                "growth: {bytes} bytes would have to become Ready and the flags forbid it: raise the \
                 reserve with `set_reserve`, or allocate where growth is allowed"
            ),
            Self::Window {
                bytes,
                align,
                largest,
            } => write!(
                f,
                "window: {bytes} bytes asked for, aligned to {align}, and the largest free piece of \
                 address space has {largest}: add a window with `add_window`"
            ),
            Self::MetadataWindow { bytes } => write!(
                f,
                "window: no address space is left for {bytes} bytes of metadata: add a window with \
                 `add_window`"
            ),
            Self::Frames { needed, available } => write!(
                f,
                "frames: {needed} needed, {available} available: free memory, or give the frame \
                 allocator more"
            ),
            Self::Adjacent { needed } => write!(
                f,
                "frames: {needed} adjacent ones cannot be had: ask early, or have the machine use a \
                 source that supplies them"
            ),
            Self::PageTables { needed, available } => write!(
                f,
                "page tables: {needed} frames needed, {available} available: free memory, or give \
                 the frame allocator more"
            ),
            Self::Limit {
                bytes,
                limit,
                mapped_ready,
            } => write!(
                f,
                "limit: {bytes} bytes more than the {mapped_ready} that are Ready would pass the \
                 limit of {limit}: free memory, or raise it with `set_limit`"
            ),
            Self::NotFree { bytes } => write!(
                f,
                "the {bytes} bytes that follow the run are not free: allocate a longer run, and copy"
            ),
            Self::NoSuchRun { pages, align } => write!(
                f,
                "a run of {pages} pages aligned to {align} bytes cannot be: ask for at least one \
                 page, and for an alignment that is a power of two"
            ),
            Self::Busy => f.write_str(
                "growth: the machine is in use and interrupts are masked: try again with interrupts on",
            ),
            Self::Description { bytes, room } => write!(
                f,
                "heap bitmap: a description of {bytes} bytes does not fit an object of {room}: \
                 describe no more than the layout has"
            ),
            Self::Scannable => f.write_str(
                "heap bitmap: the object is scannable: resize it with `reallocate_scannable`, which \
                 takes its new description",
            ),
        }
    }
}

impl core::error::Error for Cause {}
