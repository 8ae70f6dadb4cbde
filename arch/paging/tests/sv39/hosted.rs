//! The machine with memory that can be touched.

use archipelago_paging_testing::{FrameMemory, Walked as _};

use crate::machine::Sv39;
use crate::physical::{Physical, Source, Tables, radix_tables};

#[path = "../shared/hosted.rs"]
mod tests;

/// Bytes of address space that a last-level table translates.
const TABLE_BYTES: usize = 2 << 20;

/// Whether addresses have 32 bits, or are taken below that.
const LOW: bool = true;

type Mode = Sv39;

/// Tables over the memory of a board.
fn over(memory: FrameMemory) -> Physical {
    Physical::over(memory)
}

/// The tables and the source of a board.
fn pair_of(source: Source) -> (Tables, Source) {
    (radix_tables(&source), source)
}
