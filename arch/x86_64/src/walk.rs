//! One walk over the tables behind a range, for everything that reads or changes them.

use core::marker::PhantomData;
use core::ops::ControlFlow;
use core::ptr::NonNull;

use archipelago_api::VirtRange;
use archipelago_paging::pieces;
use x86_64::VirtAddr;
use x86_64::structures::paging::page_table::{PageTableEntry, PageTableLevel};
use x86_64::structures::paging::{PageTable, PageTableIndex, PhysFrame};

use crate::PageTables;

/// How a walk goes on from an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into the table that the entry links, if it links one.
    Into,
    /// On to the next entry.
    Over,
    /// No further.
    Stop,
}

/// The part of a walked range that one entry translates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) level: PageTableLevel,
    pub(crate) range: VirtRange,
}

/// What a walk does at each entry, in the order of addresses.
pub(crate) trait Visitor {
    /// At an entry, before the table that it may link.
    fn enter(&mut self, entry: &mut PageTableEntry, piece: Piece) -> Step;

    /// At an entry, after the table that it links. Level 1 is not left.
    fn leave(&mut self, _entry: &mut PageTableEntry, _child: &Table<'_>) {}
}

/// A hierarchy of tables, borrowed for as long as the mapper is.
#[derive(Debug)]
pub(crate) struct Tree<'a, P> {
    root: NonNull<PageTable>,
    mapper: &'a P,
}

impl<'a, P: PageTables> Tree<'a, P> {
    pub(crate) fn new(mapper: &'a mut P) -> Self {
        Self {
            root: mapper.root(),
            mapper,
        }
    }

    pub(crate) fn mapper(&self) -> &'a P {
        self.mapper
    }

    /// Visits every entry, of every level, that translates addresses of `range` and whose table is
    /// there. An absent table costs one step, whatever it would span.
    pub(crate) fn walk(&mut self, range: VirtRange, visitor: &mut impl Visitor) -> ControlFlow<()> {
        let root = Table::new(self.root);
        self.descend(root, PageTableLevel::Four, range, visitor)
    }

    fn descend(
        &self,
        mut table: Table<'a>,
        level: PageTableLevel,
        range: VirtRange,
        visitor: &mut impl Visitor,
    ) -> ControlFlow<()> {
        for range in pieces(range, entry_bytes(level)) {
            let index = index(range, level);
            match visitor.enter(table.entry(index), Piece { level, range }) {
                Step::Into => {}
                Step::Over => continue,
                Step::Stop => return ControlFlow::Break(()),
            }
            let (Some(below), Ok(frame)) = (level.next_lower_level(), table.entry(index).frame())
            else {
                continue;
            };
            self.descend(self.linked(frame), below, range, visitor)?;
            visitor.leave(table.entry(index), &self.linked(frame));
        }
        ControlFlow::Continue(())
    }

    /// The table in `frame`, which an entry of this hierarchy links.
    fn linked(&self, frame: PhysFrame) -> Table<'a> {
        // SAFETY: `descend` read the frame from an entry above level 1 that links a table; a linked
        // table at address 0 is ruled out where the mapper is handed over.
        Table::new(unsafe { self.mapper.table(frame) })
    }
}

/// One table of a [`Tree`]. Invariant: it is part of the tree's hierarchy, and the tree's mapper is
/// borrowed mutably for `'a`. References into it live for one visit, so that a kernel which links a
/// table to itself makes no two of them meet.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    at: NonNull<PageTable>,
    _borrow: PhantomData<&'a mut PageTable>,
}

impl Table<'_> {
    fn new(at: NonNull<PageTable>) -> Self {
        Self {
            at,
            _borrow: PhantomData,
        }
    }

    fn entry(&mut self, index: PageTableIndex) -> &mut PageTableEntry {
        // SAFETY: by the invariant this is a table which nobody else accesses, and the walk holds
        // no other reference into it.
        let table = unsafe { self.at.as_mut() };
        &mut table[index]
    }

    /// Whether every entry is zero.
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: as in `entry`.
        let table = unsafe { self.at.as_ref() };
        table.is_empty()
    }
}

/// Bytes that one entry of a table of `level` translates.
pub(crate) const fn entry_bytes(level: PageTableLevel) -> usize {
    4096 << (9 * (level as usize - 1))
}

fn index(range: VirtRange, level: PageTableLevel) -> PageTableIndex {
    VirtAddr::new_truncate(range.base().value() as u64).page_table_index(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_4_entry_translates_512_gib() {
        assert_eq!(entry_bytes(PageTableLevel::Four), 512 << 30);
        assert_eq!(entry_bytes(PageTableLevel::One), 4096);
    }
}
