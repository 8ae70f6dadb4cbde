//! The builder of simulated machines.

use core::marker::PhantomData;

use crate::frames::Frames;
use crate::geometry::{SimGeometry, check, check_tables};
use crate::host;
use crate::shared::Shared;
use crate::tables::Tables;

/// The properties of a machine to build. By default the machine has as many frames as it needs, its
/// source takes them back, supplies no adjacent ones and fills them with 0xA5, it has the page
/// tables of its geometry, and it traps where the host can.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder<G> {
    frames: usize,
    takes_back: bool,
    adjacent: bool,
    zeroed_frames: bool,
    table_shifts: Vec<u32>,
    traps: bool,
    geometry: PhantomData<fn() -> G>,
}

impl<G: SimGeometry> Builder<G> {
    pub(crate) fn new() -> Self {
        const { check::<G>() };
        Self {
            frames: usize::MAX,
            takes_back: true,
            adjacent: false,
            zeroed_frames: false,
            table_shifts: G::TABLE_SHIFTS.to_vec(),
            traps: true,
            geometry: PhantomData,
        }
    }

    /// Sets how many frames the source has.
    pub fn frames(mut self, frames: usize) -> Self {
        self.frames = frames;
        self
    }

    /// Sets whether the source takes frames back. If not, the machine holds them and uses them
    /// first.
    pub fn takes_back(mut self, takes_back: bool) -> Self {
        self.takes_back = takes_back;
        self
    }

    /// Sets whether the source supplies adjacent frames. If not, requests for such are refused.
    pub fn adjacent_frames(mut self, adjacent: bool) -> Self {
        self.adjacent = adjacent;
        self
    }

    /// Sets whether frames are zeroed, and reported so. If not, they are filled with 0xA5.
    pub fn zeroed_frames(mut self, zeroed_frames: bool) -> Self {
        self.zeroed_frames = zeroed_frames;
        self
    }

    /// Sets the levels of page tables: log2 of the bytes that a table covers, from the last level
    /// up, without the root. Without any level, the machine has no MMU.
    ///
    /// # Panics
    /// If a level does not cover more than the one below it.
    pub fn page_tables(mut self, shifts: &[u32]) -> Self {
        check_tables(shifts, G::GEOMETRY.granule_shift);
        self.table_shifts = shifts.to_vec();
        self
    }

    /// Sets whether touching memory that is not Ready traps at once, where the host can do that. If
    /// not, commit finds memory that was written; a window then takes its size from the host's
    /// allocator.
    pub fn traps(mut self, traps: bool) -> Self {
        self.traps = traps;
        self
    }

    /// The state of a machine with these properties, which all of its handles share.
    pub(crate) fn build_shared(&self) -> Shared {
        let geometry = G::GEOMETRY;
        Shared::new(
            geometry,
            Tables::new(&self.table_shifts, geometry.granule_shift),
            Frames::new(self.frames, self.takes_back).with_adjacent(self.adjacent),
            self.zeroed_frames,
            self.traps && host::TRAPS,
        )
    }
}
