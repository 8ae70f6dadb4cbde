//! Ranges that a busy machine could not undo yet.

use archipelago_api::{VirtAddr, VirtRange};

/// Ranges that the records count as Reserved and that are not yet, because the machine was busy
/// when they were to be undone. A failing step leaves two at most: a run that was made Ready, with
/// the rest of its piece, and a range that was prepared, for metadata or as the rest of a piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingUndo {
    made: Undo,
    prepared: VirtRange,
}

/// A range that is to be Reserved again; none if it is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undo {
    /// The range.
    pub(crate) range: VirtRange,
    /// How many of its first bytes are Ready, charged to unused metadata; the others are Prepared.
    pub(crate) ready: usize,
}

impl Undo {
    const NONE: Self = {
        let Some(range) = VirtRange::new(VirtAddr::new(0), 0) else {
            panic!("an empty range does not wrap");
        };
        Self { range, ready: 0 }
    };
}

impl PendingUndo {
    /// No ranges.
    pub(crate) const NONE: Self = Self {
        made: Undo::NONE,
        prepared: Undo::NONE.range,
    };

    /// The ranges.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Undo> {
        let prepared = Undo {
            range: self.prepared,
            ready: 0,
        };
        let both = [self.made, prepared].into_iter();
        both.filter(|undo| !undo.range.is_empty())
    }

    /// Adds a range.
    pub(crate) fn add(&mut self, undo: Undo) {
        let is_free = if undo.ready > 0 {
            core::mem::replace(&mut self.made, undo).range.is_empty()
        } else {
            core::mem::replace(&mut self.prepared, undo.range).is_empty()
        };
        debug_assert!(
            is_free,
            "a failing step leaves one range of each kind at most"
        );
    }

    /// Takes one of the ranges off.
    pub(super) fn take(&mut self) -> Option<Undo> {
        let undo = self.iter().next()?;
        if undo.ready > 0 {
            self.made = Undo::NONE;
        } else {
            self.prepared = Undo::NONE.range;
        }
        Some(undo)
    }
}

impl Default for PendingUndo {
    fn default() -> Self {
        Self::NONE
    }
}
