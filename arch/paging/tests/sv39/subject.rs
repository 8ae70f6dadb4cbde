//! The subject of the tests that machines share.

use archipelago_api::VirtAddr;

pub(crate) use crate::physical::{Machine, PAGE, Source, each_page, machine, range};

/// Base and pages: over the end of a last-level table where two entries of the root meet, at the
/// top of the lower half.
pub(crate) const MODELLED: (usize, usize) = (0x3f_c000_0000 - 700 * PAGE, 1300);

/// Base, pages, tables: over the boundary of two entries of the root, so that tables of both levels
/// are missing on both sides.
pub(crate) const OVER_TABLES: (usize, usize, usize) = (0xffff_ffd0_4000_0000 - 300 * PAGE, 600, 4);

/// Frames of the source that the tables have from the start: the root.
pub(crate) const ROOT_FRAMES: usize = 1;

/// Whether there are tables down to the last level.
pub(crate) fn has_tables(source: &Source, page: VirtAddr) -> bool {
    source.physical.tables(page).len() == 2
}
