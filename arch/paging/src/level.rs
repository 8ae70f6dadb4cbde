//! Levels of page tables, as data.

use archipelago_api::{Geometry, VirtAddr, VirtRange};

/// One level of page tables.
///
/// A machine describes its tables by a list of levels, root first. Entries of the last level map
/// pages, and entries of all other levels link tables of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// log2 of the bytes of address space that one entry translates.
    pub shift: u32,
    /// log2 of the entries of one table.
    pub index_bits: u32,
}

impl Level {
    /// A level whose tables have 2^`index_bits` entries of 2^`shift` bytes of address space each.
    #[must_use]
    pub const fn new(shift: u32, index_bits: u32) -> Self {
        Self { shift, index_bits }
    }

    /// Bytes of address space that one entry translates.
    #[must_use]
    pub const fn entry_span(self) -> usize {
        1 << self.shift
    }

    /// Entries of one table.
    #[must_use]
    pub const fn entries(self) -> usize {
        1 << self.index_bits
    }

    /// The index, in its table, of the entry that translates `addr`.
    #[must_use]
    pub const fn index(self, addr: VirtAddr) -> usize {
        (addr.value() >> self.shift) & (self.entries() - 1)
    }

    /// The number of entries of this level that translate addresses of `range`, which is not empty.
    pub(crate) fn entries_touched(self, range: VirtRange) -> usize {
        let last = range.last().unwrap_or(range.base());
        (last.value() >> self.shift) - (range.base().value() >> self.shift) + 1
    }

    /// The part of `range`, from its low end on, that one entry of this level translates.
    pub(crate) fn first_piece(self, range: VirtRange) -> VirtRange {
        let above = range.base().value() & (self.entry_span() - 1);
        let bytes = (self.entry_span() - above).min(range.bytes());
        range.split_at(bytes).map_or(range, |(piece, _)| piece)
    }

    /// The part of `range`, which is not empty, up to its high end, that one entry of this level
    /// translates.
    pub(crate) fn last_piece(self, range: VirtRange) -> VirtRange {
        let last = range.last().unwrap_or(range.base());
        let bytes = (last.value() & (self.entry_span() - 1)) + 1;
        let below = range.bytes().saturating_sub(bytes);
        range.split_at(below).map_or(range, |(_, piece)| piece)
    }
}

/// Stops the compilation unless `levels` lead from the root to pages of a granule, and a last-level
/// table, whose entries have `word_bytes` bytes, fills a frame.
pub(crate) const fn check(levels: &[Level], geometry: &Geometry, word_bytes: usize) {
    assert!(levels.len() >= 2, "there is a level above the last one");
    let mut above = 0;
    while above + 1 < levels.len() {
        let next = levels[above + 1];
        assert!(
            levels[above].shift == next.shift + next.index_bits,
            "an entry translates what the table that it links does"
        );
        above += 1;
    }
    let (root, last) = (levels[0], levels[levels.len() - 1]);
    assert!(
        root.shift + root.index_bits >= geometry.address_bits,
        "the root table translates the whole address space"
    );
    assert!(
        last.shift == geometry.granule_shift,
        "an entry of the last level maps a granule"
    );
    assert!(
        word_bytes << last.index_bits == geometry.granule_bytes(),
        "a last-level table fills a frame"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: Level = Level::new(12, 10);
    const LEVELS: [Level; 2] = [Level::new(22, 10), PAGES];
    const GEOMETRY: Geometry = Geometry {
        address_bits: 32,
        base: 0,
        granule_shift: 12,
        page_shift: 12,
        chunk_shift: 21,
        arena_shift: 22,
        index_root_shift: 0,
        index_table_shift: 10,
    };

    fn range(base: usize, bytes: usize) -> VirtRange {
        VirtRange::new(VirtAddr::new(base), bytes).expect("does not wrap")
    }

    #[test]
    fn a_piece_ends_where_its_entry_does() {
        let slot = LEVELS[0];
        let over = range(0x3f_f000, 0x40_2000);
        assert_eq!(slot.first_piece(over), range(0x3f_f000, 0x1000));
        assert_eq!(slot.entries_touched(over), 3);
        let top = range(usize::MAX - 0xfff, 0x1000);
        assert_eq!(slot.first_piece(top), top);
        assert_eq!(slot.last_piece(over), range(0x80_0000, 0x1000));
        assert_eq!(
            slot.last_piece(range(0x3f_f000, 0x40_1000)),
            range(0x40_0000, 0x40_0000)
        );
        assert_eq!(slot.last_piece(top), top);
        assert_eq!(slot.entries_touched(top), 1);
        assert_eq!(slot.index(VirtAddr::new(0xffff_ffff)), 1023);
        assert_eq!(PAGES.index(VirtAddr::new(0x40_3000)), 3);
    }

    #[test]
    fn levels_that_fit_each_other_are_accepted() {
        const { check(&LEVELS, &GEOMETRY, 4) };
    }

    #[test]
    #[should_panic(expected = "there is a level above the last one")]
    fn a_single_level_is_refused() {
        check(&[PAGES], &GEOMETRY, 4);
    }

    #[test]
    #[should_panic(expected = "an entry translates what the table that it links does")]
    fn levels_with_a_gap_are_refused() {
        check(&[Level::new(21, 11), PAGES], &GEOMETRY, 4);
    }

    #[test]
    #[should_panic(expected = "the root table translates the whole address space")]
    fn a_root_that_is_too_small_is_refused() {
        check(&[Level::new(22, 9), PAGES], &GEOMETRY, 4);
    }

    #[test]
    #[should_panic(expected = "an entry of the last level maps a granule")]
    fn pages_that_are_no_granules_are_refused() {
        check(&[Level::new(22, 10), Level::new(13, 9)], &GEOMETRY, 8);
    }

    #[test]
    #[should_panic(expected = "a last-level table fills a frame")]
    fn tables_that_are_no_frames_are_refused() {
        check(&LEVELS, &GEOMETRY, 8);
    }
}
