//! The subject of the tests that machines share.

use archipelago_api::VirtAddr;
pub(crate) use archipelago_paging_testing::{PAGE, each_page, range};

pub(crate) use crate::physical::Source;
use crate::physical::{self, Mapped};

pub(crate) type Machine = physical::Machine<Mapped>;

/// A machine that gives frames back, or holds them.
pub(crate) fn machine(source: &Source, returning: bool) -> Machine {
    physical::machine(source, returning)
}

/// Base and pages: three tables' worth, where two 512 GiB entries meet.
pub(crate) const MODELLED: (usize, usize) = (0xffff_9080_0000_0000 - 700 * PAGE, 1300);

/// Base, pages, tables: over a 512 GiB boundary, so that tables of every level are missing on both
/// sides.
pub(crate) const OVER_TABLES: (usize, usize, usize) = (0xffff_9080_0000_0000 - 300 * PAGE, 600, 6);

/// Frames of a source that the tables have from the start: the level-4 table.
pub(crate) const ROOT_FRAMES: usize = 1;

/// Whether there are tables down to the last level.
pub(crate) fn has_tables(source: &Source, page: VirtAddr) -> bool {
    source.physical.tables(page).len() == 3
}
