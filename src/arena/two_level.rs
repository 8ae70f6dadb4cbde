//! The first two levels of the arena index: from an arena's number to its word.

use core::fmt;

use archipelago_api::{IndexRoot, Machine};

use super::words::{ArenaWords, make_part, need_of, ready_entries};
use crate::base::sparse::{self, BlockShape};
use crate::base::sync::words_of;
use crate::region::Need;
use crate::region::metadata::MetadataSource;
use crate::region::{Cause, Purpose};

/// The words of all arenas of an address space: a root in the heap's static, and tables.
pub(crate) struct TwoLevel<M: Machine> {
    root: M::IndexRoot,
}

impl<M: Machine> TwoLevel<M> {
    const TABLE_SHIFT: u32 = M::GEOMETRY.index_table_shift;
    const TABLE: BlockShape =
        BlockShape::new::<ArenaWords>(1 << Self::TABLE_SHIFT, M::GEOMETRY.page_bytes());

    /// The block that a table needs, in bytes.
    pub(super) const BLOCK_BYTES: usize = Self::TABLE.block_bytes::<ArenaWords>();

    /// The first piece of metadata that a table needs.
    pub(super) const FIRST_NEED: Need = need_of::<ArenaWords>(Self::TABLE);

    /// No tables.
    pub(super) const fn new() -> Self {
        const {
            M::GEOMETRY.check();
            assert!(
                <M::IndexRoot as IndexRoot>::LEN == 1 << M::GEOMETRY.index_root_shift,
                "the index root has as many words as the geometry says"
            );
        }
        Self {
            root: M::IndexRoot::EMPTY,
        }
    }

    /// The word of an arena, if its part of a table is Ready.
    #[inline]
    pub(super) fn get(&self, arena: usize) -> Option<&ArenaWords> {
        let word = words_of(&self.root).get(arena >> Self::TABLE_SHIFT)?;
        sparse::entry_of(word, Self::TABLE, Self::in_table(arena))
    }

    /// The numbers of the arenas that have words, lowest first.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        let tables = words_of(&self.root).iter().enumerate();
        tables.flat_map(|(table, word)| {
            ready_entries(word, Self::TABLE).map(move |arena| (table << Self::TABLE_SHIFT) + arena)
        })
    }

    /// The word of an arena, its part of a table made Ready; `None` for no arena of the space.
    ///
    /// # Errors
    /// What was made stays, empty and charged, for the next attempt.
    pub(super) fn ensure(
        &self,
        arena: usize,
        source: &mut MetadataSource<'_, M>,
    ) -> Result<Option<&ArenaWords>, Cause> {
        let words = words_of(&self.root);
        if let (None, Some(word)) = (self.get(arena), words.get(arena >> Self::TABLE_SHIFT)) {
            let part = Self::in_table(arena) / Self::TABLE.part_entries;
            make_part::<M, ArenaWords>(word, Self::TABLE, part, Purpose::ArenaIndex, source)?;
        }
        Ok(self.get(arena))
    }

    /// The place of an arena in its table.
    #[inline]
    const fn in_table(arena: usize) -> usize {
        arena & ((1 << Self::TABLE_SHIFT) - 1)
    }
}

impl<M: Machine> fmt::Debug for TwoLevel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoLevel").finish_non_exhaustive()
    }
}
