//! The trait of paging modes: a machine's page tables, as the transitions need them.

use core::ptr::NonNull;

use archipelago_api::{Geometry, IndexRoot, PhysAddr, VirtRange};

use crate::{EntryFormat, ForOneCpu, Level, Link, OwnedTables, TableRef};

/// A machine's way to translate addresses: the levels of its page tables, the bits of their
/// entries, and how the tables of a kernel, `P`, are reached. A type without values.
///
/// [`RadixTables`](crate::RadixTables) has a ready-made mode for machines whose tables are frames
/// of one kind of entries at every level.
///
/// # Safety
/// An implementor promises that:
/// - every CPU that uses the heap translates an address by [`LEVELS`](Self::LEVELS), from the root
///   down through the tables that [`link`](Self::link) returns, and in the last level by the entry
///   at the page's index;
/// - an entry that the [`Format`](Self::Format) reads as [`PageState::Ready`] maps read-write
///   memory for the kernel, and one that it reads as anything else but [`PageState::Kernel`] maps
///   nothing;
/// - [`memory`](Self::memory) returns a frame's memory and nothing else, aligned to 8 bytes;
/// - while `P` is borrowed mutably, nothing else changes the tables.
///
/// [`PageState::Ready`]: crate::PageState::Ready
/// [`PageState::Kernel`]: crate::PageState::Kernel
pub unsafe trait PagingMode<P>: 'static {
    /// The shape of the address space.
    const GEOMETRY: Geometry;

    /// Storage for the first level of the arena index.
    type IndexRoot: IndexRoot;

    /// The levels of the tables, root first. Tables of all levels but the root fill a frame.
    const LEVELS: &'static [Level];

    /// The bits of last-level entries.
    type Format: EntryFormat;

    /// The record of tables that the machine made and may free:
    /// [`MarkedTables`](crate::MarkedTables) where links have bits for a mark,
    /// [`RootSet`](crate::RootSet) for two levels where they have none.
    type OwnedTables: OwnedTables;

    /// The interface through which frames are allocated:
    /// [`PlainFrames`](crate::PlainFrames) unless the machine has a customary one of its own.
    type Frames;

    /// The TLB maintenance of a kernel on one CPU. Its page says how the CPU has to be set up.
    type LocalTlb: Copy;

    /// The value of [`LocalTlb`](Self::LocalTlb), which the machine of a kernel on one CPU gets.
    const LOCAL_TLB: ForOneCpu<Self::LocalTlb>;

    /// Reads entry `index` of `table`.
    ///
    /// # Safety
    /// - `table` is the root, or a table above the last level that `tables` link.
    /// - `index` is less than the entries of the table.
    unsafe fn link(tables: &mut P, table: TableRef, index: usize) -> Link;

    /// Makes entry `index` of `table`, which was [`Link::Empty`], link the table in `frame`. A CPU
    /// that finds the link also finds the entries of the table that were written before.
    ///
    /// # Safety
    /// - `table` and `index` are as for [`link`](Self::link).
    /// - Every entry of the table in `frame` is Empty.
    /// - The frame belongs to the tables until the link is cleared.
    unsafe fn set_link(tables: &mut P, table: TableRef, index: usize, frame: PhysAddr);

    /// Makes entry `index` of `table` [`Link::Empty`].
    ///
    /// # Safety
    /// - `table` and `index` are as for [`link`](Self::link).
    /// - [`set_link`](Self::set_link) made the link.
    /// - Every entry of the linked table is Empty.
    unsafe fn clear_link(tables: &mut P, table: TableRef, index: usize);

    /// The memory of `frame`.
    ///
    /// # Safety
    /// The frame is a table that `tables` link, or came from the kernel's frame allocator and
    /// belongs to the caller.
    unsafe fn memory(tables: &P, frame: PhysAddr) -> NonNull<u8>;

    /// Hears that `count` entries of a table were written, from `first` on. The provided method
    /// does nothing, which is right where page walks see the data caches.
    ///
    /// # Safety
    /// The entries lie in a frame at [`memory`](Self::memory).
    unsafe fn written(
        tables: &P,
        first: NonNull<<Self::Format as EntryFormat>::Word>,
        count: usize,
    ) {
        let _ = (tables, first, count);
    }

    /// Hears that `frame`, which was written where [`memory`](Self::memory) says, is about to be
    /// used elsewhere: mapped as a page, or by whoever gets it from the frame allocator next. The
    /// provided method does nothing, which is right where caches see a frame once, however it is
    /// mapped. Elsewhere the frame's lines are written back and invalidated.
    ///
    /// # Safety
    /// The frame is as for [`memory`](Self::memory).
    unsafe fn leaves(tables: &P, frame: PhysAddr) {
        let _ = (tables, frame);
    }

    /// The addresses to flush when tables that translate `range` are unlinked.
    ///
    /// The provided method widens `range` to all addresses that its last-level tables translate. A
    /// machine whose flush of one page drops every cached link on the way to the page returns
    /// `range`.
    #[must_use]
    fn flushed_with_tables(range: VirtRange) -> VirtRange {
        widen(range, Self::LEVELS)
    }
}

/// `range`, widened to whole last-level tables of `levels`.
pub(crate) fn widen(range: VirtRange, levels: &[Level]) -> VirtRange {
    let Some(&[above, _]) = levels.last_chunk() else {
        return range;
    };
    let bytes = above.entries_touched(range).checked_mul(above.entry_span());
    let base = range.base().align_down(above.entry_span());
    // All of a pointer's address space has no length; but not all of it is reserved for the heap,
    // since the kernel runs somewhere.
    bytes
        .and_then(|bytes| VirtRange::new(base, bytes))
        .unwrap_or(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipelago_api::VirtAddr;

    #[test]
    fn a_flush_for_tables_covers_all_that_they_translate() {
        let levels = [Level::new(30, 9), Level::new(21, 9), Level::new(12, 9)];
        let range = |base, bytes| VirtRange::new(VirtAddr::new(base), bytes);
        let over = range(0x3f_f000, 0x2000).expect("does not wrap");
        assert_eq!(Some(widen(over, &levels)), range(0x20_0000, 0x40_0000));
        let top = range(usize::MAX - 0xfff, 0x1000).expect("does not wrap");
        assert_eq!(
            Some(widen(top, &levels)),
            range(usize::MAX - 0x1f_ffff, 0x20_0000)
        );
    }
}
