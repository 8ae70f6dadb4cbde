//! Ranges that a busy machine could not undo yet.

use archipelago_api::VirtRange;

/// Ranges that the records count as Reserved and that are not yet, because the machine was busy
/// when they were to be undone. A failing step leaves two at most: that of the request, and that of
/// the metadata that was refused.
pub(crate) type PendingUndo = [Option<Undo>; 2];

/// A range that is to be Reserved again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undo {
    /// The range.
    pub(crate) range: VirtRange,
    /// How many of its first bytes are Ready, charged to unused metadata; the others
    /// are Prepared.
    pub(crate) ready: usize,
}
