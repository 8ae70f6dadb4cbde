//! A trace as a whole: whether its records belong together, and their sums.

use super::error::TraceError;
use super::gzip::Workspace;
use super::{Operation, Trace};
use crate::blocks::{Block, Blocks, at};

/// The sums over a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records.
    pub operations: u64,
    /// The most blocks live at once.
    pub most_live_blocks: usize,
    /// The most bytes live at once, as the program asked for them.
    pub peak_live_bytes: u64,
    /// Blocks that the trace leaves live.
    pub left_live_blocks: usize,
}

/// The blocks that a table needs for the trace in `file`: its largest id plus one.
///
/// # Errors
///
/// As those of [`Trace::new`] and [`Trace::read`].
pub fn blocks_needed(file: &[u8], workspace: &mut Workspace) -> Result<u64, TraceError> {
    let mut trace = Trace::new(file, workspace)?;
    let mut needed = 0;
    while let Some(record) = trace.read()? {
        needed = needed.max(u64::from(record.id) + 1);
    }
    Ok(needed)
}

/// Checks the whole trace in `file`, using `table` to keep track of its blocks.
///
/// # Errors
///
/// The trace's first fault, or [`TableTooShort`](super::TraceErrorKind::TableTooShort).
pub fn validate(
    file: &[u8],
    workspace: &mut Workspace,
    table: &mut [Block],
) -> Result<Summary, TraceError> {
    let mut trace = Trace::new(file, workspace)?;
    let mut blocks = Blocks::new(table);
    let mut operations = 0;
    while let Some(record) = trace.read()? {
        let at = at(record.offset);
        let id = record.id;
        match record.operation {
            Operation::Allocate {
                size, log2_align, ..
            } => {
                blocks.unused(id).map_err(&at)?;
                Block::layout(size, log2_align).map_err(&at)?;
                blocks.begin(id, size, log2_align, None);
            }
            Operation::Reallocate { size } => {
                let block = blocks.live(id).map_err(&at)?;
                Block::layout(size, block.log2_align).map_err(&at)?;
                blocks.resize(id, block, size, None);
            }
            Operation::Free => {
                let block = blocks.live(id).map_err(&at)?;
                blocks.end(id, block);
            }
        }
        operations += 1;
    }
    Ok(Summary {
        operations,
        most_live_blocks: blocks.most_live,
        peak_live_bytes: blocks.peak_live_bytes,
        left_live_blocks: blocks.live,
    })
}
