//! The subject of the tests that machines share.

use archipelago_api::VirtAddr;

pub(crate) use crate::physical::{Machine, PAGE, Source, each_page, machine, range};

/// Base and pages: over three slots, with the end of TTBR0's half in the middle.
pub(crate) const MODELLED: (usize, usize) = (0x8000_0000 - 700 * PAGE, 2100);

/// Base, pages, tables: over the ends of two slots.
pub(crate) const OVER_TABLES: (usize, usize, usize) = (0xff80_0000 - 300 * PAGE, 1400, 3);

/// Frames of a source that the tables have from the start.
pub(crate) const ROOT_FRAMES: usize = 0;

/// Whether there are tables down to the last level.
pub(crate) fn has_tables(source: &Source, page: VirtAddr) -> bool {
    source.physical.second_level(page).is_some()
}
