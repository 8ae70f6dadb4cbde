//! The words of the heap bitmap: found by their arena, and their number in it.

use core::sync::atomic::AtomicUsize;

use archipelago_api::Machine;

use super::ArenaIndex;

impl<M: Machine> ArenaIndex<M> {
    /// The words of an arena's bitmap from word `first` to the end of its part; none if the part
    /// is not Ready. The caller is a counted reader, or has an object that the words describe.
    #[inline]
    pub(crate) fn bits_from(&self, arena: usize, first: usize) -> &[AtomicUsize] {
        let words = Self::PART.entries;
        self.arenas
            .get(arena)
            .and_then(|arena| arena.bits.entry(Self::PARTS, first / words))
            .map_or(&[], |part| {
                part.word.entries_from(Self::PART, first % words)
            })
    }
}
