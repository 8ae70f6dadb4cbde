//! The machine with memory that can be touched.

use archipelago_paging_testing::{FrameMemory, Walked as _};
use archipelago_x86_64::FourLevel;

use crate::physical::{Mapped, Over as _, Physical, Source};

#[path = "../../../paging/tests/shared/hosted.rs"]
mod tests;

/// Bytes of address space that a last-level table translates.
const TABLE_BYTES: usize = 2 << 20;

/// Whether addresses have 32 bits, or are taken below that.
const LOW: bool = false;

type Mode = FourLevel;
type Tables = Mapped;

/// Tables over the memory of a board.
fn over(memory: FrameMemory) -> Physical {
    Physical::over(memory)
}

/// The tables and the source of a board.
fn pair_of(source: archipelago_paging_testing::Source<Physical>) -> (Tables, Source) {
    (Mapped::over(source.physical), Source(source))
}
