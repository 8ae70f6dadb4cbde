//! The free pages of a heap: what they consist of.

use super::tree::{Chunk, Piece, Tree};
use crate::base::{PageRun, Shape};

/// A run that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The pages.
    pub(crate) run: PageRun,
    /// How many of them have no memory.
    pub(crate) scavenged: usize,
}

/// The free pages of a heap: tables that may be read and extended beside the page lock. What they
/// hold is changed with the [`State`] of the same heap in hand.
pub(crate) struct FreePages<S> {
    pub(super) tree: Tree<S>,
}

impl<S: Shape> FreePages<S> {
    /// Tables without pages.
    pub(crate) const fn new() -> Self {
        Self { tree: Tree::new() }
    }

    /// How many pages of a piece are scavenged.
    #[inline]
    pub(super) fn scavenged_in(chunk: Chunk<'_>, piece: Piece) -> usize {
        if S::SCAVENGES {
            chunk.scavenged.count(piece.first, piece.count)
        } else {
            0
        }
    }
}
