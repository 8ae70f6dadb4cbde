//! Regions of RAM as the firmware names them, and the errors of bad ones.

use core::fmt;

use archipelago_api::{VirtAddr, VirtRange};

/// A region of RAM for a heap: any base, any length. [`Flat::new`](crate::Flat::new) checks it.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    pub(crate) start: *mut u8,
    pub(crate) bytes: usize,
    pub(crate) zeroed: bool,
    pub(crate) for_metadata: bool,
}

impl Region {
    /// The `bytes` bytes from `start`, with unknown contents.
    #[must_use]
    pub const fn new(start: *mut u8, bytes: usize) -> Self {
        Self {
            start,
            bytes,
            zeroed: false,
            for_metadata: false,
        }
    }

    /// The bytes from `start` up to and without `end`: two symbols of a linker script. An `end`
    /// below `start` is a region that wraps.
    #[must_use]
    pub fn between(start: *mut u8, end: *const u8) -> Self {
        Self::new(start, end.addr().wrapping_sub(start.addr()))
    }

    /// The region, as one whose bytes are all zero.
    ///
    /// # Safety
    /// Every byte of the region is zero until the machine is made.
    #[must_use]
    pub const unsafe fn zeroed(self) -> Self {
        Self {
            zeroed: true,
            ..self
        }
    }

    /// The region, kept for metadata: the machine's own bookkeeping, and where it is the window for
    /// metadata, the heap's. One at most.
    #[must_use]
    pub const fn for_metadata(self) -> Self {
        Self {
            for_metadata: true,
            ..self
        }
    }

    /// The first byte of the region.
    #[must_use]
    pub const fn start(&self) -> *mut u8 {
        self.start
    }

    /// The length of the region in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The addresses of the region, or the error that it wraps.
    pub(crate) fn range(&self) -> Result<VirtRange, RegionError> {
        let base = VirtAddr::new(self.start.addr());
        VirtRange::new(base, self.bytes).ok_or(RegionError::Wraps {
            base,
            bytes: self.bytes,
        })
    }
}

/// The range between two symbols of a linker script, without the higher one, such as that of the
/// firmware's own statics or stack. The order of the symbols does not matter.
#[must_use]
pub fn occupied(start: *const u8, end: *const u8) -> VirtRange {
    let base = VirtAddr::new(start.addr().min(end.addr()));
    let bytes = end.addr().abs_diff(start.addr());
    // The range ends at one of the symbols, so it does not wrap.
    VirtRange::new(base, bytes).unwrap_or(EMPTY)
}

pub(crate) const EMPTY: VirtRange = match VirtRange::new(VirtAddr::new(0), 0) {
    Some(empty) => empty,
    None => unreachable!(),
};

/// The reasons why no machine was made of some regions. Addresses are those of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionError {
    /// No region for objects was given.
    NoRegion,
    /// There are more regions than the machine has room for.
    TooMany {
        /// Regions given.
        given: usize,
        /// Regions that a machine of this type has room for.
        most: usize,
    },
    /// A region wraps past the top of the address space.
    Wraps {
        /// The first address of the region.
        base: VirtAddr,
        /// The length of the region in bytes.
        bytes: usize,
    },
    /// A region holds no whole page, apart from the first and the last of the address space, which
    /// no Rust object can occupy, and the machine's bookkeeping.
    TooSmall {
        /// The region.
        region: VirtRange,
        /// Bytes of a page.
        page: usize,
    },
    /// Two regions share addresses.
    Overlap {
        /// A region.
        region: VirtRange,
        /// The region given before it.
        other: VirtRange,
    },
    /// A region shares addresses with the firmware's own statics.
    HoldsStatics {
        /// The region.
        region: VirtRange,
        /// The statics.
        statics: VirtRange,
    },
    /// There are two regions for metadata.
    SecondForMetadata {
        /// A region.
        region: VirtRange,
        /// The region given before it.
        other: VirtRange,
    },
    /// The regions are farther apart than the geometry reaches.
    TooFarApart {
        /// The lowest region.
        lowest: VirtRange,
        /// The highest region.
        highest: VirtRange,
        /// Bits of an address.
        address_bits: u32,
    },
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRegion => f.write_str("no region for objects was given"),
            Self::TooMany { given, most } => {
                write!(f, "{given} regions given, and there is room for {most}")
            }
            Self::Wraps { base, bytes } => write!(
                f,
                "region of {bytes:#x} bytes at {base}: it wraps past the top of the address space"
            ),
            Self::TooSmall { region, page } => write!(
                f,
                "region {region}: it holds no page of {page} bytes that objects can use"
            ),
            Self::Overlap { region, other } => {
                write!(f, "region {region}: it overlaps region {other}")
            }
            Self::HoldsStatics { region, statics } => {
                write!(f, "region {region}: it holds the statics at {statics}")
            }
            Self::SecondForMetadata { region, other } => {
                write!(f, "region {region}: metadata has region {other} already")
            }
            Self::TooFarApart {
                lowest,
                highest,
                address_bits,
            } => write!(
                f,
                "regions {lowest} and {highest} are farther apart than {address_bits} bits of \
                 address reach"
            ),
        }
    }
}

impl core::error::Error for RegionError {}
