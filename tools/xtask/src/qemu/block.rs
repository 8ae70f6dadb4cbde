//! The boot block, which brings a command line and a file to kernels of machines on which QEMU does
//! not. Its layout is described where the kernels read it, in `qemu/src/block.rs`.

use core::sync::atomic::{AtomicU32, Ordering};
use std::path::{Path, PathBuf};
use std::{fs, process};

use anyhow::{Context, Result};

use crate::project;

const MAGIC: [u8; 16] = *b"archipelago boot";

/// The module starts at a multiple of this many bytes.
const MODULE_ALIGN: usize = 16;

/// A block with that command line and that module.
///
/// # Errors
/// If one is longer than the block can say.
pub(super) fn build(command_line: &str, module: Option<&[u8]>) -> Result<Vec<u8>> {
    let line_bytes = u32::try_from(command_line.len()).context("the command line is too long")?;
    let module_bytes = match module {
        Some(module) => u32::try_from(module.len() + 1).context("the module is too long")?,
        None => 0,
    };
    let header_bytes = MAGIC.len() + 3 * size_of::<u32>();
    let mut rest = command_line.as_bytes().to_vec();
    if let Some(module) = module {
        let start = (header_bytes + rest.len()).next_multiple_of(MODULE_ALIGN);
        rest.resize(start - header_bytes, 0);
        rest.extend_from_slice(module);
    }
    let add = |sum: u32, byte: &u8| sum.wrapping_add(u32::from(*byte));
    let sum = rest.iter().fold(0, add);
    let mut block = MAGIC.to_vec();
    for number in [line_bytes, module_bytes, sum] {
        block.extend_from_slice(&number.to_le_bytes());
    }
    block.append(&mut rest);
    Ok(block)
}

/// A block in a file of its own, which goes when this is dropped.
#[derive(Debug)]
pub(super) struct File(PathBuf);

impl File {
    /// Writes a block into a new file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(block: &[u8]) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = project::target_of("blocks");
        fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        let path = folder.join(format!("{}-{number}", process::id()));
        fs::write(&path, block).with_context(|| format!("{}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A file that is left over does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_both_lengths_the_sum_and_both_contents() {
        let block = build("ab", Some(&[1, 2, 3])).expect("short enough");
        let number = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("four"));
        assert_eq!(block[..16], MAGIC);
        assert_eq!((number(16), number(20)), (2, 4));
        assert_eq!(number(24), u32::from(b'a') + u32::from(b'b') + 6);
        assert_eq!(&block[28..30], b"ab");
        assert_eq!(block[30..32], [0, 0]);
        assert_eq!(block[32..], [1, 2, 3]);
    }

    #[test]
    fn no_module_is_not_an_empty_one() {
        let without = build("", None).expect("short enough");
        let with = build("", Some(&[])).expect("short enough");
        assert_ne!(without, with);
    }
}
