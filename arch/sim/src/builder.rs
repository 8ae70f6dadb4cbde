//! How a simulated machine is made.

use alloc::sync::Arc;
use core::marker::PhantomData;

use crate::frames::Frames;
use crate::geometry::{SimGeometry, check_tables};
use crate::host;
use crate::shared::Shared;
use crate::sim::Sim;
use crate::tables::Tables;

/// The properties of a machine that is about to be made. By default it has as many frames as
/// anybody asks for, takes them back, fills them with 0xA5, has the page tables of its geometry,
/// and traps where the host can.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder<G> {
    frames: usize,
    takes_back: bool,
    zeroed_frames: bool,
    table_shifts: Vec<u32>,
    traps: bool,
    geometry: PhantomData<fn() -> G>,
}

impl<G: SimGeometry> Builder<G> {
    pub(crate) fn new() -> Self {
        Self {
            frames: usize::MAX,
            takes_back: true,
            zeroed_frames: false,
            table_shifts: G::TABLE_SHIFTS.to_vec(),
            traps: true,
            geometry: PhantomData,
        }
    }

    /// How many frames the source has.
    pub fn frames(mut self, frames: usize) -> Self {
        self.frames = frames;
        self
    }

    /// Whether the source takes frames back. If not, the machine holds them and uses them first.
    pub fn takes_back(mut self, takes_back: bool) -> Self {
        self.takes_back = takes_back;
        self
    }

    /// Whether frames are zeroed, and reported so. If not, they are filled with 0xA5.
    pub fn zeroed_frames(mut self, zeroed_frames: bool) -> Self {
        self.zeroed_frames = zeroed_frames;
        self
    }

    /// Which page tables the machine has: log2 of the bytes that a table covers, from the last
    /// level up, without the root. None at all is a machine without MMU.
    ///
    /// # Panics
    /// If a level does not cover more than the one below it.
    pub fn page_tables(mut self, shifts: &[u32]) -> Self {
        check_tables(shifts, G::GEOMETRY.granule_shift);
        self.table_shifts = shifts.to_vec();
        self
    }

    /// Whether touching memory that is not Ready traps at once, where the host can do that. If not,
    /// commit finds out what was written; a window then takes its size from the host's allocator.
    pub fn traps(mut self, traps: bool) -> Self {
        self.traps = traps;
        self
    }

    /// Makes the machine.
    #[must_use]
    pub fn build(self) -> Sim<G> {
        let geometry = G::GEOMETRY;
        Sim::from_shared(Arc::new(Shared::new(
            geometry,
            Tables::new(&self.table_shifts, geometry.granule_shift),
            Frames::new(self.frames, self.takes_back),
            self.zeroed_frames,
            self.traps && host::TRAPS,
        )))
    }
}
