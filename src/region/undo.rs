//! Ranges that a busy machine could not undo yet.

use archipelago_api::{VirtAddr, VirtRange};

/// Ranges that the records count as Reserved and that are not yet, because the machine was busy
/// when they were to be undone. A failing step leaves two at most: that of the request, and that of
/// the metadata that was refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingUndo([Undo; 2]);

/// A range that is to be Reserved again; none if it is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undo {
    /// The range.
    pub(crate) range: VirtRange,
    /// How many of its first bytes are Ready, charged to unused metadata; the others are Prepared.
    pub(crate) ready: usize,
}

impl PendingUndo {
    /// No ranges.
    pub(crate) const NONE: Self = {
        let Some(range) = VirtRange::new(VirtAddr::new(0), 0) else {
            panic!("an empty range does not wrap");
        };
        Self([Undo { range, ready: 0 }; 2])
    };

    /// The ranges.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Undo> + '_ {
        self.0.iter().copied().filter(|undo| !undo.range.is_empty())
    }

    /// Adds a range.
    pub(crate) fn add(&mut self, undo: Undo) {
        let place = self.0.iter_mut().find(|place| place.range.is_empty());
        debug_assert!(place.is_some(), "a failing step leaves two ranges at most");
        if let Some(place) = place {
            *place = undo;
        }
    }

    /// Takes one of the ranges off.
    pub(super) fn take(&mut self) -> Option<Undo> {
        let place = self.0.iter_mut().find(|place| !place.range.is_empty())?;
        let [none, _] = Self::NONE.0;
        Some(core::mem::replace(place, none))
    }
}

impl Default for PendingUndo {
    fn default() -> Self {
        Self::NONE
    }
}
