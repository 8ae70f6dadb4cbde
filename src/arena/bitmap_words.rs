//! The words of the heap bitmap: found by their arena, and their number in it.

use archipelago_api::Machine;

use super::ArenaIndex;
use crate::base::sync::CoreUsize;

impl<M: Machine> ArenaIndex<M> {
    /// The words of an arena's bitmap from word `first` to the end of its part; none if the part
    /// is not Ready.
    ///
    /// # Safety
    /// The part is not taken back as long as the words are borrowed.
    #[inline]
    pub(super) unsafe fn bits_from(&self, arena: usize, first: usize) -> &[CoreUsize] {
        let words = Self::PART.entries;
        self.arenas
            .get(arena)
            .and_then(|arena| arena.bits.entry(Self::PARTS, first / words))
            .map_or(&[], |part| {
                // SAFETY: the caller's promise is the same.
                unsafe { part.word.entries_from(Self::PART, first % words) }
            })
    }
}
