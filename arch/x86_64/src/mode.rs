//! Four levels of tables, as a paging mode.

use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

use archipelago_api::{Geometry, IndexWord, PhysAddr, VirtRange};
use archipelago_paging::{
    AllocateFrames, DeallocateFrames, ForOneCpu, Level, Link, MarkedTables, PagingMode, TableRef,
};
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, PhysFrame, Size4KiB};

use crate::entry::{self, Entries};
use crate::{LocalTlb, PageTables};

/// The address space with four levels of page tables: both halves of the 48-bit space, the upper
/// one first, in pages of 4 KiB, chunks of 2 MiB and arenas of 64 MiB.
pub const GEOMETRY: Geometry = Geometry {
    address_bits: 48,
    base: 0xffff_8000_0000_0000,
    granule_shift: 12,
    page_shift: 12,
    chunk_shift: 21,
    arena_shift: 26,
    index_root_shift: 10,
    index_table_shift: 12,
};

const _: () = GEOMETRY.check();

/// The mode of [`Paging`](crate::Paging): four levels of tables, pages of 4 KiB.
///
/// The CPU must have `EFER.NXE` set, and the frames of the kernel's allocator must be mapped where
/// [`PageTables::table`] says.
#[derive(Debug)]
pub enum FourLevel {}

/// Entry `index` of `table`.
///
/// # Safety
/// - `table` is the root, or a table that the mapper's hierarchy links.
/// - `index` is below 512.
unsafe fn entry_of<P: PageTables>(mapper: &mut P, table: TableRef, index: usize) -> NonNull<u64> {
    let first = match table {
        TableRef::Root => mapper.root(),
        // SAFETY: the caller promises that the hierarchy links the table.
        TableRef::Frame(frame) => unsafe { mapper.table(entry::frame_at(frame)) },
    };
    // SAFETY: the caller promises an index in the table, which has 512 entries.
    unsafe { first.cast().add(index) }
}

// SAFETY:
// - CPUs walk four levels from the level-4 table, which `PageTables` promises to be the root of the
//   hierarchy, and a link that is read as a table is one for them;
// - Ready entries are present and writable, as are the links above them, and the heap's other
//   entries are not present;
// - a frame's memory is where the mapper says, aligned to a page;
// - `PageTables` promises that nothing else accesses the tables meanwhile.
unsafe impl<P: PageTables> PagingMode<P> for FourLevel {
    const GEOMETRY: Geometry = GEOMETRY;

    type IndexRoot = [IndexWord; 1 << GEOMETRY.index_root_shift];

    const LEVELS: &'static [Level] = &[
        Level::new(39, 9),
        Level::new(30, 9),
        Level::new(21, 9),
        Level::new(12, 9),
    ];

    type Format = Entries;

    type OwnedTables = MarkedTables;

    type Frames = CrateFrames;

    type LocalTlb = LocalTlb;

    const LOCAL_TLB: ForOneCpu<LocalTlb> = ForOneCpu::new(LocalTlb::HERE);

    unsafe fn link(mapper: &mut P, table: TableRef, index: usize) -> Link {
        // SAFETY: the caller promises a table of the hierarchy and an index in it.
        let entry = unsafe { entry_of(mapper, table, index) };
        // SAFETY: the entry is a word of a table, which nothing else changes now.
        entry::read_link(unsafe { entry.read_volatile() })
    }

    /// Needs no instruction for a barrier, since stores become visible in their order, but a fence
    /// that has the compiler keep the order.
    unsafe fn set_link(mapper: &mut P, table: TableRef, index: usize, frame: PhysAddr) {
        // SAFETY: the caller promises a table of the hierarchy and an index in it.
        let entry = unsafe { entry_of(mapper, table, index) };
        // The entries of the table come first, for a walk in between.
        fence(Ordering::Release);
        // SAFETY: the entry is a word of a table, which nothing else accesses but CPUs' walks.
        unsafe { entry.write_volatile(entry::write_link(frame)) };
    }

    unsafe fn clear_link(mapper: &mut P, table: TableRef, index: usize) {
        // SAFETY: the caller promises a table of the hierarchy and an index in it.
        let entry = unsafe { entry_of(mapper, table, index) };
        // SAFETY: the entry is a word of a table, which nothing else accesses but CPUs' walks.
        unsafe { entry.write_volatile(0) };
    }

    unsafe fn memory(mapper: &P, frame: PhysAddr) -> NonNull<u8> {
        // SAFETY: the caller promises that the frame is a table, or the caller's own.
        unsafe { mapper.table(entry::frame_at(frame)) }.cast()
    }

    /// `range`: `invlpg` drops all cached links, whatever they translate.
    fn flushed_with_tables(range: VirtRange) -> VirtRange {
        range
    }
}

/// Frames through the traits of the `x86_64` crate.
#[derive(Debug)]
pub enum CrateFrames {}

// SAFETY: the `x86_64` crate's trait asks its implementors for frames that nothing else uses, and
// `PageTables` promises to reach those.
unsafe impl<F: FrameAllocator<Size4KiB> + 'static> AllocateFrames<F> for CrateFrames {
    fn allocate_frame(allocator: &mut F) -> Option<PhysAddr> {
        let frame: PhysFrame = allocator.allocate_frame()?;
        Some(entry::address_of(frame))
    }
}

impl<F> DeallocateFrames<F> for CrateFrames
where
    F: FrameAllocator<Size4KiB> + FrameDeallocator<Size4KiB> + 'static,
{
    unsafe fn deallocate_frame(allocator: &mut F, frame: PhysAddr) {
        // SAFETY:
        // - the caller promises that the frame came from here;
        // - the caller promises that nothing uses it.
        unsafe { allocator.deallocate_frame(entry::frame_at(frame)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipelago_api::{Offset, VirtAddr};

    #[test]
    fn the_halves_of_the_space_are_one_line_and_the_hole_is_outside() {
        let at = |value| GEOMETRY.offset(VirtAddr::new(value)).map(Offset::value);
        assert_eq!(at(0xffff_8000_0000_0000), Some(0));
        assert_eq!(at(0xffff_ffff_ffff_ffff), Some((1 << 47) - 1));
        assert_eq!(at(0), Some(1 << 47));
        assert_eq!(at(0x7fff_ffff_ffff), Some((1 << 48) - 1));
        assert_eq!(at(0x8000_0000_0000), None);
        assert_eq!(at(0xffff_7fff_ffff_ffff), None);
        let hole = VirtRange::new(VirtAddr::new(0x7fff_ffff_f000), 0x2000).expect("does not wrap");
        assert!(!GEOMETRY.contains(hole));
    }

    #[test]
    fn a_level_4_entry_translates_512_gib() {
        type Mapper = x86_64::structures::paging::OffsetPageTable<'static>;
        let levels = <FourLevel as PagingMode<Mapper>>::LEVELS;
        assert_eq!(levels[0].entry_span(), 512 << 30);
        assert_eq!(levels[3].entry_span(), 4096);
    }
}
