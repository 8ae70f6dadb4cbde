//! The steps that the transitions are made of, each one walk over the tables of a range. A step
//! that can fail for want of frames says so before it changes anything, or has a step that undoes
//! it.

use core::ops::ControlFlow;

use archipelago_api::VirtRange;
use x86_64::structures::paging::page_table::{PageTableEntry, PageTableLevel};
use x86_64::structures::paging::{FrameAllocator, Size4KiB};

use crate::PageTables;
use crate::entry::{Leaf, Link};
use crate::frames::{Chain, Supply, Taken};
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

impl<P: PageTables> Visitor for Install<'_, P> {
    fn enter(&mut self, entry: &mut PageTableEntry, piece: Piece) -> Step {
        if piece.level == PageTableLevel::One {
            Leaf::Prepared.write(entry);
            return Step::Over;
        }
        if entry.is_unused() {
            let Some(frame) = self.tables.pop_zeroed(self.mapper) else {
                return Step::Stop;
            };
            Link::make(entry, frame);
        }
        Step::Into
    }
}

/// Applies `change` to every page of `range` whose last-level table is there, until it answers
/// [`Step::Stop`].
fn pages<P: PageTables>(
    tree: &mut Tree<'_, P>,
    range: VirtRange,
    change: impl FnMut(&mut PageTableEntry) -> Step,
) -> ControlFlow<()> {
    tree.walk(range, &mut Pages { change })
}

struct Pages<C> {
    change: C,
}

impl<C: FnMut(&mut PageTableEntry) -> Step> Visitor for Pages<C> {
    fn enter(&mut self, entry: &mut PageTableEntry, piece: Piece) -> Step {
        match piece.level {
            PageTableLevel::One => (self.change)(entry),
            _ => Step::Into,
        }
    }
}

/// What [`stage`] put behind a range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staged {
    /// Whether every frame came straight from the source.
    pub(crate) all_fresh: bool,
}

/// Puts a frame behind every Prepared page of `range` without making it present.
///
/// # Errors
/// How many frames there were; every page is Prepared, as before.
pub(crate) fn stage<P: PageTables, F: FrameAllocator<Size4KiB>>(
    tree: &mut Tree<'_, P>,
    supply: &mut Supply<'_, P, F>,
    range: VirtRange,
) -> Result<Staged, usize> {
    let (mut taken, mut all_fresh) = (0, true);
    let flow = pages(tree, range, |entry| {
        if Leaf::read(entry) != Leaf::Prepared {
            return Step::Over;
        }
        let Some(Taken { frame, fresh }) = supply.take() else {
            return Step::Stop;
        };
        Leaf::Staged(frame).write(entry);
        taken += 1;
        all_fresh &= fresh;
        Step::Over
    });
    if flow.is_break() {
        // Never present, so no CPU can have seen them: nothing to flush.
        collect(tree, supply, range, Leaf::Prepared);
        return Err(taken);
    }
    Ok(Staged { all_fresh })
}

/// Makes every staged page of `range` Ready.
pub(crate) fn activate<P: PageTables>(tree: &mut Tree<'_, P>, range: VirtRange) {
    let _ = pages(tree, range, |entry| {
        if let Leaf::Staged(frame) = Leaf::read(entry) {
            Leaf::Ready(frame).write(entry);
        }
        Step::Over
    });
}

/// Makes every Ready page of `range` not present, its frame still in the entry; says whether there
/// was any. A flush must follow before the frames are used again.
pub(crate) fn retire<P: PageTables>(tree: &mut Tree<'_, P>, range: VirtRange) -> bool {
    let mut any = false;
    let _ = pages(tree, range, |entry| {
        if let Leaf::Ready(frame) = Leaf::read(entry) {
            Leaf::Staged(frame).write(entry);
            any = true;
        }
        Step::Over
    });
    any
}

/// Gives back the frames of every staged page of `range`, and leaves each page of the heap's as
/// `left` says, Prepared or Empty. No CPU may be able to translate to those frames.
pub(crate) fn collect<P: PageTables, F: FrameAllocator<Size4KiB>>(
    tree: &mut Tree<'_, P>,
    supply: &mut Supply<'_, P, F>,
    range: VirtRange,
    left: Leaf,
) {
    let _ = pages(tree, range, |entry| {
        match Leaf::read(entry) {
            Leaf::Staged(frame) => {
                left.write(entry);
                // SAFETY: `stage` took the frame from this supply; it is in no entry any more, and
                // no CPU holds a translation to it, since it never was present or was flushed.
                unsafe { supply.put(frame) };
            }
            Leaf::Prepared => left.write(entry),
            Leaf::Empty | Leaf::Ready(_) | Leaf::Kernel => {}
        }
        Step::Over
    });
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
            unsafe { self.loose.push(self.mapper, frame) };
        }
    }
}
