//! Page tables of one kind of entries: every table, the root included, is an array of the same
//! words.

use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

use archipelago_api::{Geometry, IndexRoot, PhysAddr, VirtRange};

use crate::{
    EntryFormat, ForOneCpu, Level, Link, MarkedTables, PagingMode, PhysMap, PlainFrames, TableRef,
};

/// The page-table format of a machine whose tables are all of one kind: the bits of its links
/// beside those of its pages, and its levels. Such a machine needs no code of its own to reach
/// tables: it uses [`RadixTables`].
///
/// # Safety
/// An implementor promises that:
/// - CPUs walk tables of [`LEVELS`](Self::LEVELS) with entries of this format;
/// - an entry that [`EntryFormat::read`] finds Ready maps read-write memory for the kernel, and one
///   that it finds neither Ready nor the kernel's maps nothing;
/// - [`read_link`](Self::read_link) returns [`Link::Table`] for an entry that links a table, and
///   for no other.
pub unsafe trait RadixFormat: EntryFormat {
    /// The shape of the address space.
    const GEOMETRY: Geometry;

    /// Storage for the first level of the arena index.
    type IndexRoot: IndexRoot;

    /// The levels of the tables, root first.
    const LEVELS: &'static [Level];

    /// The TLB maintenance of a kernel on one CPU. Its page says how the CPU has to be set up.
    type LocalTlb: Copy;

    /// The value of [`LocalTlb`](Self::LocalTlb), which the machine of a kernel on one CPU gets.
    const LOCAL_TLB: ForOneCpu<Self::LocalTlb>;

    /// The meaning of `word` in a table above the last level. The heap's mark makes a table
    /// `owned`.
    fn read_link(word: Self::Word) -> Link;

    /// The entry that links the table in `frame` and carries the heap's mark.
    fn write_link(frame: PhysAddr) -> Self::Word;

    /// Orders the entries of a new table before the link to it. The provided method orders them for
    /// CPUs whose walks are coherent with stores and respect their order; others need a barrier.
    fn before_link() {
        fence(Ordering::Release);
    }

    /// The addresses to flush when tables that translate `range` are unlinked, as
    /// [`PagingMode::flushed_with_tables`].
    #[must_use]
    fn flushed_with_tables(range: VirtRange) -> VirtRange {
        crate::mode::widen(range, Self::LEVELS)
    }
}

/// The page tables of a kernel, in frames that `M` reaches. The format of their entries is the
/// mode of the machine: `Paging<Format, RadixTables<M>, F>`.
#[derive(Debug)]
pub struct RadixTables<M> {
    root: PhysAddr,
    map: M,
}

impl<M: PhysMap> RadixTables<M> {
    /// The tables whose root is in the frame, or the frames, at `root`.
    ///
    /// # Safety
    /// - The root is the one in use on every CPU that uses the heap, and well-formed.
    /// - `map` reaches the root and all tables below it.
    /// - Nothing else accesses the tables while the value is borrowed mutably.
    #[must_use]
    pub const unsafe fn new(root: PhysAddr, map: M) -> Self {
        Self { root, map }
    }

    /// Entry `index` of `table`.
    ///
    /// # Safety
    /// - `table` is the root or linked.
    /// - `index` is less than its entries.
    unsafe fn entry<W>(&self, table: TableRef, index: usize) -> NonNull<W> {
        let frame = match table {
            TableRef::Root => self.root,
            TableRef::Frame(frame) => frame,
        };
        // SAFETY: the frame holds a page table, as the caller and that of `new` promise.
        let first = unsafe { self.map.pointer(frame) }.cast();
        // SAFETY: the caller promises that the table has the entry.
        unsafe { first.add(index) }
    }
}

// SAFETY:
// - CPUs walk the tables from the root that `new` was given, as the format promises;
// - the format promises the meaning of its entries;
// - the memory of frames is where the map says, which was promised with it, aligned to a frame;
// - `new` was promised that nothing else changes the tables.
unsafe impl<F: RadixFormat, M: PhysMap> PagingMode<RadixTables<M>> for F {
    const GEOMETRY: Geometry = F::GEOMETRY;

    type IndexRoot = F::IndexRoot;

    const LEVELS: &'static [Level] = F::LEVELS;

    type Format = F;

    type OwnedTables = MarkedTables;

    type Frames = PlainFrames;

    type LocalTlb = F::LocalTlb;

    const LOCAL_TLB: ForOneCpu<F::LocalTlb> = F::LOCAL_TLB;

    unsafe fn link(tables: &mut RadixTables<M>, table: TableRef, index: usize) -> Link {
        // SAFETY: the caller promises a table of ours and an index in it.
        let entry = unsafe { tables.entry(table, index) };
        // SAFETY: the entry is a word of a table, which nothing else changes now.
        F::read_link(unsafe { entry.read_volatile() })
    }

    unsafe fn set_link(
        tables: &mut RadixTables<M>,
        table: TableRef,
        index: usize,
        frame: PhysAddr,
    ) {
        F::before_link();
        // SAFETY: the caller promises a table of ours and an index in it.
        let entry = unsafe { tables.entry(table, index) };
        // SAFETY: the entry is a word of a table, which nothing else changes now.
        unsafe { entry.write_volatile(F::write_link(frame)) };
    }

    unsafe fn clear_link(tables: &mut RadixTables<M>, table: TableRef, index: usize) {
        // SAFETY: the caller promises a table of ours and an index in it.
        let entry = unsafe { tables.entry(table, index) };
        // SAFETY: the entry is a word of a table, which nothing else changes now.
        unsafe { entry.write_volatile(F::write(crate::PageState::Empty)) };
    }

    unsafe fn memory(tables: &RadixTables<M>, frame: PhysAddr) -> NonNull<u8> {
        // SAFETY: the caller promises that the frame is a table, or the allocator's.
        unsafe { tables.map.pointer(frame) }
    }

    fn flushed_with_tables(range: VirtRange) -> VirtRange {
        <F as RadixFormat>::flushed_with_tables(range)
    }
}
