//! The page-table walker: the way from the root to the tables of a range, for any number of
//! levels.

use core::ops::ControlFlow;

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};

use crate::entry::{Change, Link, PageState, TableRef};
use crate::frames::FrameList;
use crate::table::Table;
use crate::{Level, OwnedTables, PagingMode};

/// The end of the way down from the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The last-level table in this frame.
    LastLevel(PhysAddr),
    /// The entry of this table links nothing.
    Missing(TableRef),
    /// The entry is the kernel's and links no table that the heap can use.
    Kernel,
}

/// The direction of a walk over a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// One end of a range, as far as one way down from the root leads.
#[derive(Clone, Copy, Debug)]
struct Part {
    range: VirtRange,
    /// The level, as an index into [`PagingMode::LEVELS`], of the table where the way ends.
    depth: usize,
    end: End,
}

/// A walk over a range from one end to the other. A missing table costs one step, whatever it would
/// span.
struct Walk {
    rest: VirtRange,
    direction: Direction,
}

impl Walk {
    /// A walk from the low end to the high end.
    fn over(range: VirtRange) -> Self {
        Self {
            rest: range,
            direction: Direction::Up,
        }
    }

    /// A walk from the high end to the low end.
    fn down(range: VirtRange) -> Self {
        Self {
            rest: range,
            direction: Direction::Down,
        }
    }

    /// The address where the walk goes on.
    fn at(&self) -> VirtAddr {
        match self.direction {
            Direction::Up => self.rest.base(),
            Direction::Down => self.rest.last().unwrap_or(self.rest.base()),
        }
    }

    /// The part of the rest that one entry of `level` translates.
    fn piece(&self, level: Level) -> VirtRange {
        match self.direction {
            Direction::Up => level.first_piece(self.rest),
            Direction::Down => level.last_piece(self.rest),
        }
    }

    /// The part of the range that comes next; the same one again until [`skip`](Self::skip).
    fn part<M: PagingMode<P>, P>(&self, tables: &mut P) -> Option<Part> {
        if self.rest.is_empty() {
            return None;
        }
        let mut table = TableRef::Root;
        let mut last = None;
        for (depth, &level) in upper_levels::<M, P>().iter().enumerate() {
            let index = level.index(self.at());
            // SAFETY:
            // - the table is the root, or was linked by the entry that was read before;
            // - `index` returns an index below the table's entries.
            let end = match unsafe { M::link(tables, table, index) } {
                Link::Table { frame, .. } => {
                    table = TableRef::Frame(frame);
                    last = Some((level, frame));
                    continue;
                }
                Link::Empty => End::Missing(table),
                Link::Kernel => End::Kernel,
            };
            let range = self.piece(level);
            return Some(Part { range, depth, end });
        }
        let (above, frame) = last?;
        Some(Part {
            range: self.piece(above),
            depth: upper_levels::<M, P>().len(),
            end: End::LastLevel(frame),
        })
    }

    /// Goes on after `part`, which came next.
    fn skip(&mut self, part: Part) {
        let gone = part.range.bytes();
        self.rest = match self.direction {
            Direction::Up => self.rest.split_at(gone).map_or(self.rest, |(_, rest)| rest),
            Direction::Down => {
                let below = self.rest.bytes().saturating_sub(gone);
                self.rest
                    .split_at(below)
                    .map_or(self.rest, |(rest, _)| rest)
            }
        };
    }

    /// Whether a walk from the low end has passed the entry of `level` that it was in last: no
    /// address that this entry translates is left in the range.
    fn has_left(&self, level: Level) -> bool {
        self.rest.is_empty() || self.rest.base().is_aligned(level.entry_span())
    }
}

/// The levels above the last one, root first.
fn upper_levels<M: PagingMode<P>, P>() -> &'static [Level] {
    &M::LEVELS[..M::LEVELS.len() - 1]
}

/// The last level, whose entries map pages.
fn last_level<M: PagingMode<P>, P>() -> Level {
    M::LEVELS[M::LEVELS.len() - 1]
}

/// The entries of a last-level table that map the pages of `range`, which one table translates.
fn page_indices<M: PagingMode<P>, P>(range: VirtRange) -> core::ops::Range<usize> {
    let level = last_level::<M, P>();
    let first = level.index(range.base());
    first..first + (range.bytes() >> level.shift)
}

/// The lowest part of `range` that is not free for the heap, or `None` if all of it is.
pub(crate) fn occupied<M: PagingMode<P>, P>(tables: &mut P, range: VirtRange) -> Option<VirtRange> {
    let mut walk = Walk::over(range);
    while let Some(part) = walk.part::<M, P>(tables) {
        match part.end {
            End::Missing(_) => {}
            End::Kernel => return Some(part.range),
            End::LastLevel(frame) => {
                let level = last_level::<M, P>();
                // SAFETY:
                // - the walk found the frame linked as a last-level table;
                // - `tables` are borrowed mutably.
                let table = unsafe { Table::<M, P>::new(tables, frame, level) };
                let mut pages = page_indices::<M, P>(part.range);
                if let Some(taken) = pages.find(|&index| table.read(index) != PageState::Empty) {
                    let above = (taken - level.index(part.range.base())) << level.shift;
                    let (_, taken) = part.range.split_at(above)?;
                    return Some(level.first_piece(taken));
                }
            }
        }
        walk.skip(part);
    }
    None
}

/// The number of tables that the pages of `range` need and that are not there.
pub(crate) fn missing_tables<M: PagingMode<P>, P>(tables: &mut P, range: VirtRange) -> usize {
    let mut missing = 0;
    let mut walk = Walk::over(range);
    while let Some(part) = walk.part::<M, P>(tables) {
        if let End::Missing(_) = part.end {
            let levels = &upper_levels::<M, P>()[part.depth..];
            let touched = levels.iter().map(|level| level.entries_touched(part.range));
            missing += touched.sum::<usize>();
        }
        walk.skip(part);
    }
    missing
}

/// Links the tables that `range` needs, in frames of `spare`, and makes its pages Prepared. `spare`
/// holds as many frames as [`missing_tables`] counted.
pub(crate) fn prepare<M: PagingMode<P>, P>(
    tables: &mut P,
    owned: &mut M::OwnedTables,
    range: VirtRange,
    spare: &mut FrameList,
) {
    let mut walk = Walk::over(range);
    while let Some(part) = walk.part::<M, P>(tables) {
        match part.end {
            End::Kernel => {}
            End::Missing(table) => {
                let Some(frame) = spare.pop::<M, P>(tables) else {
                    return;
                };
                let index = M::LEVELS[part.depth].index(part.range.base());
                link_new_table::<M, P>(tables, table, part.depth, index, frame);
                if part.depth == 0 {
                    owned.insert(index);
                }
                // The next turn goes one level further down.
                continue;
            }
            End::LastLevel(frame) => {
                let level = last_level::<M, P>();
                // SAFETY:
                // - the walk found the frame linked as a last-level table;
                // - `tables` are borrowed mutably.
                let mut table = unsafe { Table::<M, P>::new(tables, frame, level) };
                for index in page_indices::<M, P>(part.range) {
                    table.write(index, PageState::Prepared);
                }
            }
        }
        walk.skip(part);
    }
}

/// Makes an empty table in `frame`, which was taken for it, and links it at entry `index` of
/// `table`, which is of the level at `depth` and where nothing is linked.
fn link_new_table<M: PagingMode<P>, P>(
    tables: &mut P,
    table: TableRef,
    depth: usize,
    index: usize,
    frame: PhysAddr,
) {
    // SAFETY:
    // - the frame was taken to be linked;
    // - `tables` are borrowed mutably.
    let mut new = unsafe { Table::<M, P>::new(tables, frame, M::LEVELS[depth + 1]) };
    new.clear();
    // The mode hears of the entries before it writes the link.
    drop(new);
    // SAFETY:
    // - a walk found the table, and an index in it;
    // - `clear` made every entry of the new table Empty;
    // - the frame was taken for the tables, which keep it until it is unlinked.
    unsafe { M::set_link(tables, table, index, frame) };
}

/// Applies `change` to each page of `range` whose last-level table is there, in the order of
/// addresses, until it returns [`Change::Stop`].
pub(crate) fn change_pages<M: PagingMode<P>, P>(
    tables: &mut P,
    range: VirtRange,
    change: impl FnMut(&P, PageState) -> Change,
) -> ControlFlow<()> {
    change_along::<M, P>(tables, Walk::over(range), change)
}

/// [`change_pages`] from the highest page down to the lowest.
pub(crate) fn change_pages_down<M: PagingMode<P>, P>(
    tables: &mut P,
    range: VirtRange,
    change: impl FnMut(&P, PageState) -> Change,
) -> ControlFlow<()> {
    change_along::<M, P>(tables, Walk::down(range), change)
}

fn change_along<M: PagingMode<P>, P>(
    tables: &mut P,
    mut walk: Walk,
    mut change: impl FnMut(&P, PageState) -> Change,
) -> ControlFlow<()> {
    while let Some(part) = walk.part::<M, P>(tables) {
        walk.skip(part);
        let End::LastLevel(frame) = part.end else {
            continue;
        };
        // SAFETY:
        // - the walk found the frame linked as a last-level table;
        // - `tables` are borrowed mutably.
        let mut table = unsafe { Table::<M, P>::new(tables, frame, last_level::<M, P>()) };
        let indices = page_indices::<M, P>(part.range);
        let (first, last) = (indices.start, indices.end - 1);
        for step in 0..indices.len() {
            let index = match walk.direction {
                Direction::Up => first + step,
                Direction::Down => last - step,
            };
            match change(tables, table.read(index)) {
                Change::Keep => {}
                Change::Write(state) => table.write(index, state),
                Change::Stop => return ControlFlow::Break(()),
            }
        }
    }
    ControlFlow::Continue(())
}

/// Unlinks every table that the machine made, that translates addresses of `range` and that is
/// empty, and returns their frames. A flush must follow before the frames are used again: CPUs may
/// walk the tables meanwhile, and find nothing there.
pub(crate) fn unlink_empty_tables<M: PagingMode<P>, P>(
    tables: &mut P,
    owned: &mut M::OwnedTables,
    range: VirtRange,
) -> FrameList {
    let mut unlinked = FrameList::EMPTY;
    let mut walk = Walk::over(range);
    while let Some(part) = walk.part::<M, P>(tables) {
        walk.skip(part);
        // From the deepest table up: a table is looked at once, when the walk has left it, and
        // one that stays keeps those above it from being empty.
        for depth in (0..part.depth).rev() {
            if !walk.has_left(M::LEVELS[depth]) {
                break;
            }
            match unlink_if_empty::<M, P>(tables, owned, part.range.base(), depth) {
                // SAFETY:
                // - the frame was taken from the supply for a table, so the mode reaches it;
                // - the table is unlinked, so it belongs to the list; a CPU that still walks it
                //   reads entries that are not valid.
                Some(frame) => unsafe { unlinked.push::<M, P>(tables, frame) },
                None => break,
            }
        }
    }
    unlinked
}

/// Unlinks the table that the entry for `addr`, in the table of the level at `depth`, links, if the
/// machine made it and it is empty.
fn unlink_if_empty<M: PagingMode<P>, P>(
    tables: &mut P,
    owned: &mut M::OwnedTables,
    addr: VirtAddr,
    depth: usize,
) -> Option<PhysAddr> {
    let table = table_at::<M, P>(tables, addr, depth)?;
    let index = M::LEVELS[depth].index(addr);
    // SAFETY:
    // - `table_at` found the table from the root;
    // - `index` returns an index below the table's entries.
    let link = unsafe { M::link(tables, table, index) };
    let Link::Table {
        frame,
        owned: marked,
    } = link
    else {
        return None;
    };
    if !(marked || depth == 0 && owned.contains(index)) {
        return None;
    }
    // SAFETY:
    // - the entry links the frame as a table of the next level;
    // - `tables` are borrowed mutably.
    if !unsafe { Table::<M, P>::new(tables, frame, M::LEVELS[depth + 1]) }.is_empty() {
        return None;
    }
    // SAFETY:
    // - the table and the index are those that were read;
    // - mark or record say that the machine linked the table;
    // - every entry of it is Empty.
    unsafe { M::clear_link(tables, table, index) };
    if depth == 0 {
        owned.remove(index);
    }
    Some(frame)
}

/// The table of the level at `depth` on the way to `addr`, if it is there.
fn table_at<M: PagingMode<P>, P>(tables: &mut P, addr: VirtAddr, depth: usize) -> Option<TableRef> {
    let mut table = TableRef::Root;
    for level in &M::LEVELS[..depth] {
        // SAFETY:
        // - the table is the root, or was linked by the entry that was read before;
        // - `index` returns an index below the table's entries.
        match unsafe { M::link(tables, table, level.index(addr)) } {
            Link::Table { frame, .. } => table = TableRef::Frame(frame),
            Link::Empty | Link::Kernel => return None,
        }
    }
    Some(table)
}
