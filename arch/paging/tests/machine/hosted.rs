//! The machine with memory that can be touched.

use archipelago_paging_testing::{FrameMemory, Walked as _};

use crate::physical::{Pages, Physical, SLOT_BYTES, TwoLevel};
use crate::source::Source;

#[path = "../shared/hosted.rs"]
mod tests;

/// Bytes of address space that a table translates.
const TABLE_BYTES: usize = SLOT_BYTES;

/// Whether addresses have 32 bits, or are taken below that.
const LOW: bool = true;

type Mode = TwoLevel;
type Tables = Pages;

/// Tables over the memory of a board.
fn over(memory: FrameMemory) -> Physical {
    Physical::over(memory)
}

/// The tables and the source of a board.
fn pair_of(source: Source) -> (Tables, Source) {
    (Pages::over(source.physical), source)
}
