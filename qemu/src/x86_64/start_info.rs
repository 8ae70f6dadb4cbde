//! The boot loader's information, in the format of PVH start information.
//!
//! # Source
//! Xen, `xen/include/public/arch-x86/hvm/start_info.h`.

use core::fmt;
use core::str::Utf8Error;

use super::paging;
use crate::info::REGIONS_MAX;
use crate::info::{BootInfo, BootInfoError};
use crate::memory::{MemoryKind, MemoryRegion, Module, PhysRange};

const MAGIC: u32 = 0x336e_c578;

/// The most modules that are taken; QEMU passes one at most.
const MODULES_MAX: usize = 1;
/// The most bytes of a command line that are taken.
const COMMAND_LINE_MAX: usize = 4096;
/// The most ranges that [`StartInfo::kept`] writes.
pub(super) const KEPT_MAX: usize = MODULES_MAX + 4;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct RawStartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct RawModule {
    address: u64,
    bytes: u64,
    command_line: u64,
    reserved: u64,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct RawRegion {
    address: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

/// Why the start information cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartInfoError {
    /// There is none where there should be.
    Magic {
        /// The number found in its place.
        found: u32,
    },
    /// The version has no memory map.
    Version {
        /// The version.
        found: u32,
    },
    /// A list is longer than this kernel takes.
    TooMany {
        /// The name of the list.
        what: &'static str,
        /// The list's length.
        found: u32,
        /// The length that this kernel takes at most.
        most: usize,
    },
    /// A structure lies where the physmap does not reach.
    OutOfReach {
        /// The name of the structure.
        what: &'static str,
        /// Where.
        address: u64,
    },
    /// The command line does not end, or is not UTF-8.
    CommandLine(Option<Utf8Error>),
}

impl fmt::Display for StartInfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic { found } => write!(f, "magic number {found:#x} instead of {MAGIC:#x}"),
            Self::Version { found } => write!(f, "version {found} has no memory map"),
            Self::TooMany { what, found, most } => {
                write!(f, "{found} {what}, but {most} at most are taken")
            }
            Self::OutOfReach { what, address } => {
                write!(f, "the {what} at {address:#x} lies beyond the physmap")
            }
            Self::CommandLine(Some(error)) => write!(f, "command line: {error}"),
            Self::CommandLine(None) => {
                write!(
                    f,
                    "the command line is longer than {COMMAND_LINE_MAX} bytes"
                )
            }
        }
    }
}

impl core::error::Error for StartInfoError {}

/// The start information, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartInfo {
    address: u64,
    memory_map: Table<RawRegion>,
    modules: Table<RawModule>,
    command_line: &'static str,
}

impl StartInfo {
    /// Reads the information that the boot loader left at a physical address.
    ///
    /// # Safety
    /// The boot loader left start information there, and it and all it points to are never written
    /// again.
    pub(super) unsafe fn read(address: u64) -> Result<Self, StartInfoError> {
        let table = Table::<RawStartInfo>::new("start information", address, 1, 1)?;
        let raw = table.get(0);
        if raw.magic != MAGIC {
            return Err(StartInfoError::Magic { found: raw.magic });
        }
        if raw.version == 0 {
            return Err(StartInfoError::Version { found: raw.version });
        }
        let entries = raw.memory_map_entries;
        let memory_map = Table::new("memory map", raw.memory_map, entries, REGIONS_MAX)?;
        let modules = Table::new("modules", raw.modules, raw.module_count, MODULES_MAX)?;
        for index in 0..modules.count {
            let module: RawModule = modules.get(index);
            reach("module", module.address, module.bytes)?;
        }
        let command_line = command_line(raw.command_line)?;
        Ok(Self {
            address,
            memory_map,
            modules,
            command_line,
        })
    }

    /// The information in the form that kernels of all machines know.
    pub(super) fn boot_info(&self) -> Result<BootInfo, BootInfoError> {
        let entries = (0..self.memory_map.count).map(|index| self.memory_map.get(index));
        let regions = entries.map(|raw| MemoryRegion {
            range: PhysRange {
                start: raw.address,
                end: raw.address.saturating_add(raw.bytes),
            },
            kind: match raw.kind {
                1 => MemoryKind::Usable,
                other => MemoryKind::Other(other),
            },
        });
        let info = BootInfo::new(regions)?.with_command_line(self.command_line);
        Ok(info.with_module(self.module()))
    }

    fn module(&self) -> Option<Module> {
        (self.modules.count > 0).then(|| {
            let raw = self.modules.get(0);
            let range = PhysRange {
                start: raw.address,
                end: raw.address + raw.bytes,
            };
            Module {
                range,
                bytes: bytes(range),
            }
        })
    }

    /// Writes the ranges that hold all of this to `kept`, and returns how many.
    pub(super) fn kept(&self, kept: &mut [PhysRange]) -> usize {
        let text = self.command_line.as_bytes().as_ptr_range();
        let own = [
            PhysRange {
                start: self.address,
                end: self.address + size_of::<RawStartInfo>() as u64,
            },
            self.memory_map.range(),
            self.modules.range(),
            PhysRange {
                start: paging::physical(text.start),
                end: paging::physical(text.end) + 1,
            },
        ];
        let mut count = 0;
        for range in own
            .into_iter()
            .chain(self.module().map(|module| module.range))
        {
            kept[count] = range;
            count += 1;
        }
        count
    }
}

/// A table in physical memory, within the physmap.
#[derive(Debug)]
struct Table<T> {
    first: *const T,
    count: usize,
}

// SAFETY: `StartInfo::read` demands that the table is only ever read, which any thread may do.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: `StartInfo::read` demands that the table is only ever read, which threads may do at once.
unsafe impl<T: Sync> Sync for Table<T> {}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Table<T> {}

impl<T: Copy> Table<T> {
    fn new(
        what: &'static str,
        address: u64,
        count: u32,
        most: usize,
    ) -> Result<Self, StartInfoError> {
        let too_many = StartInfoError::TooMany {
            what,
            found: count,
            most,
        };
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= most)
            .ok_or(too_many)?;
        reach(what, address, (count * size_of::<T>()) as u64)?;
        Ok(Self {
            first: paging::physmap(address).cast(),
            count,
        })
    }

    fn get(&self, index: usize) -> T {
        assert!(index < self.count, "entry {index} of {}", self.count);
        // SAFETY: the table lies within the physmap (`new` checked), and the index within the
        // table.
        let entry = unsafe { self.first.add(index) };
        // SAFETY:
        // - The entry lies within the physmap, and the boot loader wrote it.
        // - Its fields take any bits.
        // - The read assumes no alignment.
        unsafe { entry.read_unaligned() }
    }

    fn range(&self) -> PhysRange {
        let start = paging::physical(self.first.cast());
        PhysRange {
            start,
            end: start + (self.count * size_of::<T>()) as u64,
        }
    }
}

/// Checks that a range lies within the physmap.
fn reach(what: &'static str, address: u64, bytes: u64) -> Result<(), StartInfoError> {
    match address.checked_add(bytes) {
        Some(end) if end <= paging::PHYSMAP_BYTES => Ok(()),
        _ => Err(StartInfoError::OutOfReach { what, address }),
    }
}

fn bytes(range: PhysRange) -> &'static [u8] {
    let length = usize::try_from(range.end - range.start).expect("the physmap is in reach");
    // SAFETY:
    // - The range lies within the physmap, which is always mapped (`StartInfo::read` checked).
    // - Nothing writes to it: the frame pool leaves the boot loader's data out.
    unsafe { core::slice::from_raw_parts(paging::physmap(range.start), length) }
}

fn command_line(address: u64) -> Result<&'static str, StartInfoError> {
    if address == 0 {
        return Ok("");
    }
    reach("command line", address, COMMAND_LINE_MAX as u64)?;
    let room = bytes(PhysRange {
        start: address,
        end: address + COMMAND_LINE_MAX as u64,
    });
    let length = room
        .iter()
        .position(|byte| *byte == 0)
        .ok_or(StartInfoError::CommandLine(None))?;
    core::str::from_utf8(&room[..length]).map_err(|error| StartInfoError::CommandLine(Some(error)))
}
