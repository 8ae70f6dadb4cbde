//! A flat arena index, to measure the cost of the sparse one: one array with the words of a bounded
//! stretch of arenas.
//!
//! The array replaces the two levels of the sparse index. A heap that outgrows it is refused
//! memory.

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::Machine;

use super::words::ArenaWords;
use crate::region::Cause;
use crate::region::metadata::MetadataSource;

/// Arenas that have words: 4 GiB of the space, where an arena has 64 MiB.
const ARENAS: usize = 64;

/// The first arena of an array that has no place yet: far from any arena of an address space.
const NOWHERE: usize = usize::MAX / 2;

/// The words of the arenas from the first one that was ever ensured.
pub(crate) struct FlatIndex<M> {
    first: AtomicUsize,
    words: [ArenaWords; ARENAS],
    machine: PhantomData<fn() -> M>,
}

impl<M: Machine> FlatIndex<M> {
    /// The first piece of metadata that a table needs: a line, which is not taken.
    pub(super) const FIRST_NEED: crate::region::Need = crate::region::Need {
        bytes: 64,
        align: 64,
        is_block: false,
    };

    /// The block that a table needs, in bytes: there are no tables.
    pub(super) const BLOCK_BYTES: usize = 0;

    /// An index without arenas.
    pub(super) const fn new() -> Self {
        Self {
            first: AtomicUsize::new(NOWHERE),
            // SAFETY: `assume_init` needs a valid value, and all-zero bytes are one of an `Entry`,
            // which words of arenas are.
            words: unsafe { MaybeUninit::zeroed().assume_init() },
            machine: PhantomData,
        }
    }

    /// The words of an arena, if it lies in the array.
    #[inline]
    pub(super) fn get(&self, arena: usize) -> Option<&ArenaWords> {
        let first = self.first.load(Ordering::Relaxed);
        self.words.get(arena.wrapping_sub(first))
    }

    /// The numbers of the arenas that have words, lowest first.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        let first = self.first.load(Ordering::Relaxed);
        first..first + ARENAS
    }

    /// The words of an arena. The array begins at the first arena that is ensured.
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
        let most = ARENAS << M::GEOMETRY.arena_shift;
        let bytes = most.saturating_add(1);
        self.get(arena)
            .map(Some)
            .ok_or(Cause::TooLarge { bytes, most })
    }
}

impl<M> fmt::Debug for FlatIndex<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlatIndex").finish_non_exhaustive()
    }
}
