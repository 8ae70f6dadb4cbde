//! Why there is no machine, or no heap.

use core::fmt;

use archipelago::InitError;

/// The reasons why a process has no machine or no heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostError {
    /// The pages of this system are larger than the granules of the machine.
    Pages {
        /// Bytes of a page of the system.
        system: usize,
        /// Bytes of a granule.
        granule: usize,
    },
    /// The system has no address space for a window.
    AddressSpace {
        /// Bytes of the smallest window that was asked for.
        bytes: usize,
    },
    /// The heap refused the window.
    Init(InitError),
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pages { system, granule } => write!(
                f,
                "pages of this system have {system} bytes, and the heap needs ones of {granule} or \
                 less: run the program where pages are smaller"
            ),
            Self::AddressSpace { bytes } => write!(
                f,
                "the system has no {bytes} bytes of address space: raise the limit of the process \
                 (`ulimit -v`), or ask for a smaller window"
            ),
            Self::Init(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for HostError {}

impl From<InitError> for HostError {
    fn from(error: InitError) -> Self {
        Self::Init(error)
    }
}
