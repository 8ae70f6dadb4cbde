//! What transitions do to four levels of tables, each one walk over the tables of a range.

use core::ops::ControlFlow;

use archipelago_api::VirtRange;
use archipelago_paging::{Chain, Change, Leaf};
use x86_64::structures::paging::PhysFrame;
use x86_64::structures::paging::page_table::{PageTableEntry, PageTableLevel};

use crate::PageTables;
use crate::entry::{self, Link};
use crate::scheme::FourLevel;
use crate::walk::{Piece, Step, Table, Tree, Visitor, entry_bytes};

/// The lowest part of `range` that something lives in, or `None` if nothing does.
pub(crate) fn occupied<P: PageTables>(
    tree: &mut Tree<'_, P>,
    range: VirtRange,
) -> Option<VirtRange> {
    let mut survey = Survey { occupied: None };
    let _ = tree.walk(range, &mut survey);
    survey.occupied
}

struct Survey {
    occupied: Option<VirtRange>,
}

impl Visitor for Survey {
    fn enter(&mut self, entry: &mut PageTableEntry, piece: Piece) -> Step {
        if entry.is_unused() {
            return Step::Over;
        }
        if piece.level != PageTableLevel::One && Link::read(entry) != Link::Kernel {
            return Step::Into;
        }
        self.occupied = Some(piece.range);
        Step::Stop
    }
}

/// How many tables the pages of `range` need that are not there.
pub(crate) fn missing_tables<P: PageTables>(tree: &mut Tree<'_, P>, range: VirtRange) -> usize {
    let mut missing = Missing { tables: 0 };
    let _ = tree.walk(range, &mut missing);
    missing.tables
}

struct Missing {
    tables: usize,
}

impl Visitor for Missing {
    fn enter(&mut self, entry: &mut PageTableEntry, piece: Piece) -> Step {
        if !entry.is_unused() {
            return match piece.level {
                PageTableLevel::Four | PageTableLevel::Three => Step::Into,
                PageTableLevel::Two | PageTableLevel::One => Step::Over,
            };
        }
        let mut level = Some(piece.level);
        while let Some(at) = level.filter(|&at| at != PageTableLevel::One) {
            self.tables += entries_touched(piece.range, at);
            level = at.next_lower_level();
        }
        Step::Over
    }
}

/// How many entries of `level` translate addresses of `range`.
fn entries_touched(range: VirtRange, level: PageTableLevel) -> usize {
    let bytes = entry_bytes(level);
    let last = range.last().unwrap_or(range.base());
    last.value() / bytes - range.base().value() / bytes + 1
}

/// Links the tables that `range` needs, out of `tables`, and makes its pages Prepared. Cannot fail:
/// `tables` holds what [`missing_tables`] counted.
pub(crate) fn install<P: PageTables>(tree: &mut Tree<'_, P>, range: VirtRange, tables: &mut Chain) {
    let mapper = tree.mapper();
    let _ = tree.walk(range, &mut Install { mapper, tables });
}

struct Install<'a, P> {
    mapper: &'a P,
    tables: &'a mut Chain,
}

impl<P: PageTables> Install<'_, P> {
    /// An empty table out of the frames that were taken for it.
    fn table(&mut self) -> Option<PhysFrame> {
        let frame = entry::frame_at(self.tables.pop::<FourLevel, P>(self.mapper)?);
        // SAFETY: the frame was the chain's alone, and now is ours.
        let table = unsafe { self.mapper.table(frame) };
        // SAFETY: the frame is ours and mapped in full; all zeroes is an empty table.
        unsafe { table.write_bytes(0, 1) };
        Some(frame)
    }
}

impl<P: PageTables> Visitor for Install<'_, P> {
    fn enter(&mut self, entry: &mut PageTableEntry, piece: Piece) -> Step {
        if piece.level == PageTableLevel::One {
            entry::write(entry, Leaf::Prepared);
            return Step::Over;
        }
        if entry.is_unused() {
            let Some(frame) = self.table() else {
                return Step::Stop;
            };
            Link::make(entry, frame);
        }
        Step::Into
    }
}

/// Applies `change` to every page of `range` whose last-level table is there, until it answers
/// [`Change::Stop`].
pub(crate) fn pages<P: PageTables>(
    tree: &mut Tree<'_, P>,
    range: VirtRange,
    change: impl FnMut(&P, Leaf) -> Change,
) -> ControlFlow<()> {
    let mapper = tree.mapper();
    tree.walk(range, &mut Pages { mapper, change })
}

struct Pages<'a, P, C> {
    mapper: &'a P,
    change: C,
}

impl<P, C: FnMut(&P, Leaf) -> Change> Visitor for Pages<'_, P, C> {
    fn enter(&mut self, entry: &mut PageTableEntry, piece: Piece) -> Step {
        if piece.level != PageTableLevel::One {
            return Step::Into;
        }
        match (self.change)(self.mapper, entry::read(entry)) {
            Change::Keep => {}
            Change::Write(leaf) => entry::write(entry, leaf),
            Change::Stop => return Step::Stop,
        }
        Step::Over
    }
}

/// Unlinks every table that the machine made, that serves addresses of `range` and that is empty. A
/// flush must follow before the frames are used again.
pub(crate) fn prune<P: PageTables>(tree: &mut Tree<'_, P>, range: VirtRange) -> Chain {
    let mut prune = Prune {
        mapper: tree.mapper(),
        loose: Chain::EMPTY,
    };
    let _ = tree.walk(range, &mut prune);
    prune.loose
}

struct Prune<'a, P> {
    mapper: &'a P,
    loose: Chain,
}

impl<P: PageTables> Visitor for Prune<'_, P> {
    fn enter(&mut self, _entry: &mut PageTableEntry, piece: Piece) -> Step {
        match piece.level {
            PageTableLevel::One => Step::Over,
            _ => Step::Into,
        }
    }

    fn leave(&mut self, entry: &mut PageTableEntry, child: &Table<'_>) {
        let Link::Table { frame, ours: true } = Link::read(entry) else {
            return;
        };
        if child.is_empty() {
            entry.set_unused();
            // SAFETY: the machine made the table, nothing is in it, and no entry links it any more;
            // a CPU that still walks it reads entries that are not present.
            unsafe {
                self.loose
                    .push::<FourLevel, P>(self.mapper, entry::address_of(frame));
            };
        }
    }
}
