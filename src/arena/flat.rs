//! A flat arena index, to measure what the sparse one costs: one array with the words of a bounded
//! stretch of arenas.
//!
//! It stands in for the two levels where the feature `flat-index` says so, which is for
//! `cargo xtask bench` alone: a heap that outgrows the array is refused memory.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::Machine;

use super::words::ArenaWords;
use crate::region::Cause;
use crate::region::metadata::MetadataSource;

/// Arenas that have a word: 4 GiB, where one has 64 MiB.
const ARENAS: usize = 64;

/// The first arena of an array that has no place yet: far from any arena of an address space.
const NOWHERE: usize = usize::MAX / 2;

/// The words of the arenas from the first one that was ever ensured.
#[derive(Debug)]
pub(crate) struct Flat<M> {
    first: AtomicUsize,
    words: [ArenaWords; ARENAS],
    machine: PhantomData<fn() -> M>,
}

impl<M: Machine> Flat<M> {
    /// The block that a table needs, in bytes: there are no tables.
    pub(super) const BLOCK_BYTES: usize = 0;

    /// No arenas.
    pub(super) const fn new() -> Self {
        Self {
            first: AtomicUsize::new(NOWHERE),
            words: [const { ArenaWords::EMPTY }; ARENAS],
            machine: PhantomData,
        }
    }

    /// The word of an arena, if it lies in the array.
    #[inline]
    pub(super) fn get(&self, arena: usize) -> Option<&ArenaWords> {
        let first = self.first.load(Ordering::Relaxed);
        self.words.get(arena.wrapping_sub(first))
    }

    /// The word of an arena. The array begins at the first one that is asked for.
    ///
    /// # Errors
    /// The arena lies outside of the array.
    pub(super) fn ensure(
        &self,
        arena: usize,
        _: &mut MetadataSource<'_, M>,
    ) -> Result<Option<&ArenaWords>, Cause> {
        if self.first.load(Ordering::Relaxed) == NOWHERE {
            self.first.store(arena, Ordering::Relaxed);
        }
        let bytes = ARENAS << M::GEOMETRY.arena_shift;
        self.get(arena).map(Some).ok_or(Cause::TooLarge { bytes })
    }
}
