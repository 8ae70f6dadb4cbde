//! The subject of the tests that machines share.

use archipelago_api::VirtAddr;

use crate::physical::Whole;
pub(crate) use crate::physical::{PAGE, each_page, range};
pub(crate) use crate::source::{Machine, Source};

/// A machine that gives frames back, or holds them.
pub(crate) fn machine(source: &Source, returning: bool) -> Machine {
    crate::source::machine::<Whole>(source, returning)
}

/// Base and pages: parts of three slots, the last of them that of the whole space.
pub(crate) const MODELLED: (usize, usize) = (0xffff_f000 - 2099 * PAGE, 2100);

/// Base, pages, tables: over the ends of two slots.
pub(crate) const OVER_TABLES: (usize, usize, usize) = (0x8000_0000 - 300 * PAGE, 1400, 3);

/// Frames of a source that the tables have from the start.
pub(crate) const ROOT_FRAMES: usize = 0;

/// Whether there are tables down to the last level.
pub(crate) fn has_tables(source: &Source, page: VirtAddr) -> bool {
    source.physical.table(page).is_some()
}
