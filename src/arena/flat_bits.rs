//! A flat heap bitmap, to measure what the sparse one costs: one array of units for the first arena
//! of the address space.
//!
//! It stands in for the parts where the feature `flat-bits` says so, which is for
//! `cargo xtask bench` alone, and for one heap alone: memory for scannable objects is refused
//! elsewhere. Parts are made, claimed and charged as ever, and never read.

use core::sync::atomic::AtomicUsize;

use archipelago_api::Machine;

use super::ArenaIndex;
use crate::base::{PageIdx, PageRun};
use crate::region::Cause;

/// Units of an arena of 64 MiB with words of 64 bits, which is the largest.
const UNITS: usize = (64 << 20) / 8 / 32;

static BITMAP: [AtomicUsize; UNITS] = [const { AtomicUsize::new(0) }; UNITS];

impl<M: Machine> ArenaIndex<M> {
    /// Whether the array has the bits of `run`.
    ///
    /// # Errors
    /// It has not.
    pub(super) fn check_array(run: PageRun) -> Result<(), Cause> {
        let pages = UNITS / Self::PAGE_UNITS;
        if run.end() <= PageIdx(pages) {
            return Ok(());
        }
        let bytes = pages * M::GEOMETRY.page_bytes();
        Err(Cause::TooLarge { bytes })
    }

    /// Units of the bitmap, from unit `first` of `arena` on.
    #[inline]
    pub(super) fn flat_bits_from(arena: usize, first: usize) -> &'static [AtomicUsize] {
        let units = M::GEOMETRY.arena_pages() * Self::PAGE_UNITS;
        let first = arena.saturating_mul(units).saturating_add(first);
        BITMAP.get(first..).unwrap_or(&[])
    }

    /// `count` units from unit `first` of the space on.
    ///
    /// # Safety
    /// They are those of a scannable object.
    #[inline(always)]
    pub(crate) unsafe fn flat_units(first: usize, count: usize) -> &'static [AtomicUsize] {
        // SAFETY: scannable objects lie in runs whose bits are in the array.
        unsafe { BITMAP.get_unchecked(first..first + count) }
    }
}
