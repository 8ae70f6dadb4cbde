//! The host memory that backs a window, and its protection while it is not Ready.

#[cfg(all(target_os = "linux", not(miri)))]
mod mapped;
mod plain;

use core::ops::Range;
use core::ptr::NonNull;

/// Whether this host can trap touching memory that is not Ready.
pub(crate) const TRAPS: bool = cfg!(all(target_os = "linux", not(miri)));

/// The place of a window's memory on the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// Bytes of the window.
    pub(crate) bytes: usize,
    /// The window begins at an address that is `residue` modulo `modulus`, a power of two.
    pub(crate) residue: usize,
    pub(crate) modulus: usize,
}

impl Placement {
    /// The bytes from `addr` up to the first address that is `residue`, less `below`, modulo
    /// `modulus`.
    fn distance(self, addr: usize, below: usize) -> usize {
        self.residue.wrapping_sub(below).wrapping_sub(addr) & (self.modulus - 1)
    }
}

/// The error that memory was written while it was not Ready: the first such byte, counted from the
/// window's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tampered(pub(crate) usize);

/// A function that tells whether a granule in some bytes of the window is Ready.
pub(crate) type AnyReady<'a> = &'a dyn Fn(Range<usize>) -> bool;

/// The host memory of one window. All ranges are in bytes from the window's base.
#[derive(Debug)]
pub(crate) enum Block {
    /// Memory whose protection follows the states.
    #[cfg(all(target_os = "linux", not(miri)))]
    Mapped(mapped::Mapped),
    /// Memory from the host's allocator, always accessible.
    Plain(plain::Plain),
}

// SAFETY: a block owns its memory, and nothing in it belongs to a thread. Writes through `&self` go
// to memory in transition, which the contract of `Machine` leaves to one call at a time, and the
// machine's own lock enforces that.
unsafe impl Send for Block {}
// SAFETY: writes through `&self` go to memory in transition, one call at a time.
unsafe impl Sync for Block {}

impl Block {
    /// Takes memory for a window from the host; none of it is Ready. `traps` asks for memory that
    /// traps where the host can do it.
    pub(crate) fn new(placement: Placement, traps: bool) -> Self {
        #[cfg(all(target_os = "linux", not(miri)))]
        if traps {
            return Self::Mapped(mapped::Mapped::new(placement));
        }
        let _ = traps;
        Self::Plain(plain::Plain::new(placement))
    }

    /// The pointer to the window's base, with the provenance of the whole window.
    pub(crate) fn first(&self) -> NonNull<u8> {
        match self {
            #[cfg(all(target_os = "linux", not(miri)))]
            Self::Mapped(mapped) => mapped.first(),
            Self::Plain(plain) => plain.first(),
        }
    }

    /// Makes `at` accessible and fills it. `any_ready` tells the states before the call.
    pub(crate) fn make_ready(
        &self,
        at: Range<usize>,
        fill: u8,
        any_ready: AnyReady<'_>,
    ) -> Result<(), Tampered> {
        match self {
            #[cfg(all(target_os = "linux", not(miri)))]
            Self::Mapped(mapped) => mapped.make_ready(at, fill, any_ready),
            Self::Plain(plain) => {
                // Granules of plain memory are independent of each other.
                let _ = any_ready;
                plain.make_ready(at, fill)
            }
        }
    }

    /// Drops the contents of `at` and makes it inaccessible as far as the host can. `any_ready`
    /// tells the states before the call.
    pub(crate) fn make_unready(&self, at: Range<usize>, any_ready: AnyReady<'_>) {
        match self {
            #[cfg(all(target_os = "linux", not(miri)))]
            Self::Mapped(mapped) => mapped.make_unready(at, any_ready),
            Self::Plain(plain) => {
                let _ = any_ready;
                plain.make_unready(at);
            }
        }
    }
}

/// The first of `bytes` bytes from `first` that is not `value`.
///
/// # Safety
/// - The bytes are readable and initialised.
/// - Nothing writes to them meanwhile.
#[cfg(not(miri))]
unsafe fn find_other(first: NonNull<u8>, bytes: usize, value: u8) -> Option<usize> {
    let slice = NonNull::slice_from_raw_parts(first, bytes);
    // SAFETY:
    // - the caller promises that the bytes are readable and initialised;
    // - the caller promises that nothing writes to them;
    // - bytes have no alignment, and no allocation is longer than `isize::MAX`.
    let slice = unsafe { slice.as_ref() };
    slice.iter().position(|&byte| byte != value)
}
