//! The words of the arena index, and how the blocks that they name are committed.

use core::num::NonZeroU32;

use archipelago_api::Machine;

use super::part::BitmapWord;
use crate::base::sparse::{self, BlockShape, Word};
use crate::base::sync::{AtomicPtr, AtomicU32};
use crate::region::Need;
use crate::region::metadata::MetadataSource;
use crate::region::{Cause, Purpose, Source};

/// Names a span's record. Page maps hold it as a number, 0 for no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanHandle(pub(crate) NonZeroU32);

/// The words of an arena in the index.
#[derive(Debug)]
#[repr(C)]
pub(super) struct ArenaWords {
    /// The page map.
    pub(super) map: Word<AtomicU32>,
    /// The heap bitmap.
    pub(super) bits: BitmapWord,
}

// SAFETY: words are entries, each of them.
unsafe impl sparse::Entry for ArenaWords {}

/// The address space that the first part of a block of `shape` takes.
pub(super) const fn need_of<T>(shape: BlockShape) -> Need {
    let bytes = shape.block_bytes::<T>();
    Need {
        bytes,
        align: bytes,
        is_block: shape.part_entries != shape.entries,
    }
}

/// The numbers of the entries of the block that `word` names whose parts are Ready, lowest first.
pub(super) fn ready_entries(
    word: &AtomicPtr<u8>,
    shape: BlockShape,
) -> impl Iterator<Item = usize> + '_ {
    let parts = shape.entries / shape.part_entries;
    let ready = (0..parts).filter(move |part| sparse::has_part(word, *part));
    ready.flat_map(move |part| part * shape.part_entries..(part + 1) * shape.part_entries)
}

/// Commits one part of the block that `word` names and publishes it. A block without address space
/// gets some first. The part is absent, and the caller holds the growth gate.
///
/// # Errors
/// Why there is no memory; the part is absent, as before.
pub(super) fn make_part<M: Machine, T: sparse::Entry>(
    word: &AtomicPtr<u8>,
    shape: BlockShape,
    part: usize,
    purpose: Purpose,
    source: &mut MetadataSource<'_, M>,
) -> Result<(), Cause> {
    let block_bytes = shape.block_bytes::<T>();
    if shape.part_entries == shape.entries {
        let memory = source.take::<T>(purpose, shape.entries, block_bytes)?;
        sparse::publish_part(word, shape, 0, memory);
        return Ok(());
    }
    if sparse::has_part(word, part) {
        return Ok(());
    }
    let placed = sparse::block_base(word, shape);
    let block = match placed {
        Some(base) => source
            .offset_of(base)
            .ok_or(Cause::MetadataWindow { bytes: block_bytes })?,
        None => source.take_block(block_bytes, block_bytes)?,
    };
    let offset = archipelago_api::Offset::new(block.value() + part * shape.part_bytes::<T>());
    // SAFETY: `commit_part` needs
    // - the part in a block of this source that was not put back: `word` names no other blocks, and
    //   one that was taken just now is put back after a failure alone;
    // - whole pages that are not Ready: the part is absent, as was checked above.
    match unsafe { source.commit_part::<T>(purpose, offset, shape.part_entries) } {
        Ok(memory) => {
            sparse::publish_part(word, shape, part, memory);
            Ok(())
        }
        Err(cause) => {
            if placed.is_none() {
                // SAFETY: the block was taken just now, no part of it was committed before, and the
                // commit of this one was refused.
                unsafe { source.put_back_block(block, block_bytes) };
            }
            Err(cause)
        }
    }
}
