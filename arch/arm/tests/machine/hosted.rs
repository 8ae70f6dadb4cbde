//! The machine with memory that can be touched.

use archipelago_arm::{ShortDescriptors, Walks};
use archipelago_paging_testing::FrameMemory;

use crate::physical::{Cpu, Physical, Source, Tables, maintained};

#[path = "../../../paging/tests/shared/hosted.rs"]
mod tests;

/// Bytes of address space that one of the tables of a slot translates.
const TABLE_BYTES: usize = 1 << 20;

/// Whether addresses have 32 bits, or are taken below that.
const LOW: bool = true;

type Mode = ShortDescriptors;

/// Tables over the memory of a board.
fn over(memory: FrameMemory) -> Physical {
    Physical::divided(memory, 2)
}

/// The tables and the source of a board.
fn pair_of(source: Source) -> (Tables, Source) {
    (
        maintained(&source.physical, Walks::Coherent, Cpu(source)),
        source,
    )
}
