//! Windows: what the kernel gives the heap, and why it may be refused.

use core::fmt;

use archipelago_api::{Geometry, Offset, ReserveError, VirtAddr, VirtRange};

use crate::base::{PageIdx, PageRun, Shape};
use crate::region::Cause;

/// A range of address space that the heap may use. Nothing is checked until it is given to the
/// heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// The first address; a multiple of the granule.
    pub base: usize,
    /// The length in bytes; a multiple of the granule.
    pub bytes: usize,
    /// Whether it is kept for metadata, as one of the windows given to
    /// [`Heap::init`](crate::Heap::init) may be. Without such a window, metadata comes from the far
    /// end of the first one that has room.
    pub for_metadata: bool,
}

impl Window {
    /// The `bytes` bytes from `base`, for objects.
    #[must_use]
    pub const fn new(base: usize, bytes: usize) -> Self {
        Self {
            base,
            bytes,
            for_metadata: false,
        }
    }

    /// The `bytes` bytes from `base`, for metadata alone. One window at most, given at `init`. When
    /// it is used up, metadata goes on in the largest unused part of the windows for objects.
    #[must_use]
    pub const fn for_metadata(base: usize, bytes: usize) -> Self {
        Self {
            base,
            bytes,
            for_metadata: true,
        }
    }
}

/// The rule that a window breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WindowRule {
    /// A window has at least one byte.
    Empty,
    /// Base and length are multiples of the granule.
    Misaligned {
        /// Bytes of the granule.
        granule: usize,
    },
    /// A window does not wrap past the top of the address space.
    Wraps,
    /// Every address of a window is canonical.
    NotCanonical,
    /// A window lies inside the geometry.
    BeyondGeometry {
        /// Bits of an address, counted from the base of the space.
        address_bits: u32,
    },
    /// Windows do not overlap.
    Overlaps {
        /// The range given before, coalesced with its neighbours.
        other: VirtRange,
    },
    /// One window at most is kept for metadata, and it is given to
    /// [`Heap::init`](crate::Heap::init).
    SecondForMetadata,
    /// A heap needs room for its first metadata, and for a page or two of objects. The window for
    /// metadata breaks the rule if there is one and those for objects have enough pages; else the
    /// first for objects does.
    NoRoomForMetadata {
        /// The length in bytes of the smallest window at this base that would do.
        smallest: usize,
    },
    /// A window holds at least one whole page besides the first and the last granule of the address
    /// space, which no Rust object can occupy.
    TooSmall,
}

/// Why the heap was not initialised, or a window not added. The heap is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// The heap has been initialised before.
    AlreadyInitialised,
    /// A window was added to a heap that is not initialised.
    NotInitialised,
    /// There is no window for objects.
    NoWindow,
    /// The machine is in use, and interrupts are masked.
    Busy,
    /// A window breaks a rule.
    Window {
        /// The window.
        window: Window,
        /// The rule.
        rule: WindowRule,
    },
    /// The machine refused to reserve a window.
    Reserve {
        /// The window.
        window: Window,
        /// Why.
        error: ReserveError,
    },
    /// There was no memory for the first metadata.
    Metadata {
        /// The step that refused.
        cause: Cause,
    },
}

impl Window {
    /// The range of the window, or `None` if it wraps.
    pub(crate) const fn range(self) -> Option<VirtRange> {
        VirtRange::new(VirtAddr::new(self.base), self.bytes)
    }

    /// The pages of the window that can hold objects.
    pub(crate) fn pages<S: Shape>(self) -> Result<PageRun, InitError> {
        let geometry = S::GEOMETRY;
        let refused = |rule| InitError::Window { window: self, rule };
        if self.bytes == 0 {
            return Err(refused(WindowRule::Empty));
        }
        let Some(range) = self.range() else {
            return Err(refused(WindowRule::Wraps));
        };
        if !range.is_aligned(geometry.granule_bytes()) {
            let granule = geometry.granule_bytes();
            return Err(refused(WindowRule::Misaligned { granule }));
        }
        if !geometry.contains(range) {
            return Err(refused(outside(&geometry)));
        }
        let whole = PageRun::inside::<S>(range).unwrap_or(PageRun::new(PageIdx(0), 0));
        let pages = without_ends::<S>(whole);
        if pages.is_empty() {
            Err(refused(WindowRule::TooSmall))
        } else {
            Ok(pages)
        }
    }
}

/// A space that goes on at address 0 has a hole between its halves; others have ends.
const fn outside(geometry: &Geometry) -> WindowRule {
    if geometry.base == 0 || geometry.offset(VirtAddr::new(0)).is_none() {
        WindowRule::BeyondGeometry {
            address_bits: geometry.address_bits,
        }
    } else {
        WindowRule::NotCanonical
    }
}

/// `run` without the page that holds address 0 and the one before it on the (circular) line, or
/// the one at the top of the pointers where the space ends with them: no Rust pointer range can
/// describe them. A window does not wrap, so they can only be its first and its last page.
fn without_ends<S: Shape>(run: PageRun) -> PageRun {
    let geometry = S::GEOMETRY;
    let zero = geometry.offset(VirtAddr::new(0));
    let before_zero = |zero: Offset| zero.value().wrapping_sub(1) & geometry.last_offset().value();
    let last = match zero {
        Some(zero) => Some(Offset::new(before_zero(zero))),
        None => geometry.offset(VirtAddr::new(usize::MAX)),
    };
    let page = |offset: Offset| PageIdx(offset.value() >> geometry.page_shift);
    let mut run = run;
    if !run.is_empty() && zero.map(page) == Some(run.first) {
        run = PageRun::between(run.first.plus(1), run.end());
    }
    if !run.is_empty() && last.map(|last| page(last).plus(1)) == Some(run.end()) {
        run = PageRun::new(run.first, run.count - 1);
    }
    run
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "window of {:#x} bytes at {:#x}", self.bytes, self.base)
    }
}

impl fmt::Display for WindowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::Misaligned { granule } => {
                write!(
                    f,
                    "its base or length is not a multiple of the granule of {granule} bytes"
                )
            }
            Self::Wraps => f.write_str("it wraps past the top of the address space"),
            Self::NotCanonical => f.write_str("it holds addresses that are not canonical"),
            Self::BeyondGeometry { address_bits } => {
                write!(
                    f,
                    "it reaches beyond the {address_bits} bits of the address space"
                )
            }
            Self::Overlaps { other } => write!(f, "it overlaps {other}, given before"),
            Self::SecondForMetadata => f.write_str("it is a second window for metadata"),
            Self::NoRoomForMetadata { smallest } => write!(
                f,
                "it is too small for the heap's metadata or its first objects: make it {smallest} \
                 bytes or more"
            ),
            Self::TooSmall => f.write_str("it holds no whole page that objects can use"),
        }
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyInitialised => f.write_str("the heap is initialised already"),
            Self::NotInitialised => f.write_str("the heap is not initialised yet"),
            Self::NoWindow => f.write_str("no window for objects was given"),
            Self::Busy => f.write_str("the machine is in use and interrupts are masked"),
            Self::Window { window, rule } => write!(f, "{window}: {rule}"),
            Self::Reserve { window, error } => write!(f, "{window}: {error}"),
            Self::Metadata { cause } => write!(f, "no memory for the first metadata: {cause}"),
        }
    }
}

impl core::error::Error for InitError {}
