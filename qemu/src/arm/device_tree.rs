//! The device tree, in which the board describes itself; QEMU leaves it at the start of RAM.

use core::fmt;

use fdt::{Fdt, FdtError};

use crate::info::{BootInfo, BootInfoError};
use crate::memory::{MemoryKind, MemoryRegion, PhysRange};

/// The physical address of the device tree.
const ADDRESS: usize = 0x4000_0000;
/// The most bytes that the device tree can have, since the image follows.
const BYTES_MAX: usize = 2 << 20;

/// Why the device tree cannot be used.
#[derive(Debug)]
pub(super) enum DeviceTreeError {
    /// The bytes are no device tree.
    Malformed(FdtError),
    /// The board has more regions of memory than are kept.
    Regions(BootInfoError),
}

impl fmt::Display for DeviceTreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "{error}"),
            Self::Regions(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for DeviceTreeError {}

/// Reads the device tree into the form that kernels of all machines know. The tree is not needed
/// afterwards.
///
/// # Safety
/// Nothing has written to memory below the image yet.
pub(super) unsafe fn read() -> Result<BootInfo, DeviceTreeError> {
    let first = core::ptr::with_exposed_provenance(ADDRESS);
    // SAFETY: the entry code maps RAM there, and nothing writes to it during the call.
    let bytes = unsafe { core::slice::from_raw_parts(first, BYTES_MAX) };
    let tree = Fdt::new(bytes).map_err(DeviceTreeError::Malformed)?;
    let memory = tree.memory();
    let regions = memory.regions().map(|region| {
        let start = region.starting_address.addr() as u64;
        MemoryRegion {
            range: PhysRange {
                start,
                end: start + region.size.unwrap_or(0) as u64,
            },
            kind: MemoryKind::Usable,
        }
    });
    let info = BootInfo::new(regions).map_err(DeviceTreeError::Regions)?;
    Ok(info.with_cpus(tree.cpus().count()))
}
