//! The boot block: how a command line and a file reach a kernel whose machine has no way of its own
//! for them.
//!
//! The harness has QEMU write the block into memory, at an address that machine and harness agree
//! on, before the kernel starts:
//!
//! | bytes | |
//! | --- | --- |
//! | 16 | [`MAGIC`] |
//! | 4 | bytes of the command line |
//! | 4 | bytes of the module, plus one; 0 where there is none |
//! | 4 | the sum of all bytes that follow |
//! | | the command line, in UTF-8 |
//! | | zeroes up to a multiple of 16 bytes of the block |
//! | | the module |
//!
//! Numbers are little-endian on every machine. Memory that no block was written to is not taken for
//! one: it would have to hold the magic number by chance.

use core::fmt;
use core::str::Utf8Error;

use crate::memory::{Module, PhysRange};

/// The physical address of the block.
///
/// # Panics
/// On machines on which QEMU passes the command line and the file itself.
#[must_use]
pub const fn address() -> u64 {
    let Some(text) = option_env!("MACHINE_BOOT_BLOCK") else {
        panic!("the machine has no boot block");
    };
    match u64::from_str_radix(text, 10) {
        Ok(address) => address,
        Err(_) => panic!("the build script writes decimal digits"),
    }
}

/// The first bytes of a block.
pub const MAGIC: [u8; 16] = *b"archipelago boot";

/// Bytes before the command line.
pub const HEADER_BYTES: usize = 28;

/// The module starts at a multiple of this many bytes of the block.
pub const MODULE_ALIGN: usize = 16;

/// The contents of a boot block.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The physical memory of the block, the header included.
    pub range: PhysRange,
    /// The command line.
    pub command_line: &'static str,
    /// The file.
    pub module: Option<Module>,
}

/// Why a block cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// The block reaches beyond the memory that it is read from.
    Length {
        /// Bytes of the block.
        needed: u64,
        /// Bytes of the memory.
        available: u64,
    },
    /// The bytes of the block do not add up.
    Sum {
        /// The sum in the header.
        expected: u32,
        /// The sum of the bytes.
        found: u32,
    },
    /// The command line is not UTF-8.
    CommandLine(Utf8Error),
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { needed, available } => {
                write!(
                    f,
                    "the boot block has {needed} bytes, but memory ends after {available}"
                )
            }
            Self::Sum { expected, found } => {
                write!(
                    f,
                    "the boot block's bytes add up to {found:#x} instead of {expected:#x}"
                )
            }
            Self::CommandLine(error) => write!(f, "the boot block's command line: {error}"),
        }
    }
}

impl core::error::Error for BlockError {}

impl Block {
    /// Reads the block in `memory`, which lies at the physical address `start` and reaches as far
    /// as a block may; `None` if none starts there.
    ///
    /// # Errors
    /// One starts there, but is not whole.
    pub fn read(start: u64, memory: &'static [u8]) -> Result<Option<Self>, BlockError> {
        let Some(header) = memory.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        if header[..MAGIC.len()] != MAGIC {
            return Ok(None);
        }
        let number = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (line_bytes, module_bytes, expected) = (number(16), number(20), number(24));
        let line_end = HEADER_BYTES as u64 + u64::from(line_bytes);
        let module_start = line_end.next_multiple_of(MODULE_ALIGN as u64);
        let needed = match module_bytes.checked_sub(1) {
            Some(bytes) => module_start + u64::from(bytes),
            None => line_end,
        };
        let available = memory.len() as u64;
        let whole = usize::try_from(needed)
            .ok()
            .and_then(|end| memory.get(..end));
        let whole = whole.ok_or(BlockError::Length { needed, available })?;
        let found = sum(&whole[HEADER_BYTES..]);
        if found != expected {
            return Err(BlockError::Sum { expected, found });
        }
        // Both lie in the block, which lies in memory.
        let within = |at: u64| usize::try_from(at).unwrap_or(whole.len()).min(whole.len());
        let line = &whole[HEADER_BYTES..within(line_end)];
        let module = module_bytes.checked_sub(1).map(|_| Module {
            range: PhysRange {
                start: start + module_start,
                end: start + needed,
            },
            bytes: &whole[within(module_start)..],
        });
        Ok(Some(Self {
            range: PhysRange {
                start,
                end: start + needed,
            },
            command_line: core::str::from_utf8(line).map_err(BlockError::CommandLine)?,
            module,
        }))
    }
}

/// The sum of bytes, as the header has it.
fn sum(bytes: &[u8]) -> u32 {
    let add = |sum: u32, byte: &u8| sum.wrapping_add(u32::from(*byte));
    bytes.iter().fold(0, add)
}
