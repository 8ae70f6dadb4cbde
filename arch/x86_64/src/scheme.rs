//! Four levels of tables, as the transitions see them.

use core::ops::ControlFlow;
use core::ptr::NonNull;

use archipelago_api::{Geometry, IndexWord, PhysAddr, VirtRange};
use archipelago_paging::{Chain, Change, Leaf, Returns, Scheme, Takes};
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, PhysFrame, Size4KiB};

use crate::entry;
use crate::steps;
use crate::walk::Tree;
use crate::{LocalTlb, PageTables};

/// The scheme of [`Paging`](crate::Paging): four levels of tables, of pages of 4 KiB. It asks of
/// the CPU that `EFER.NXE` is set, and of the frame source that its frames are mapped where
/// [`PageTables::table`] says.
#[derive(Debug)]
pub enum FourLevel {}

// SAFETY:
// - Ready entries are present and writable, as are the links above them, and others of the heap's
//   are not present;
// - the walk visits all entries of level 1 below tables that are there, and nobody but the machine
//   changes entries of reserved ranges;
// - tables that `install` makes carry a mark, without which none is freed, and only if all of it
//   is 0, which is what Empty is;
// - a frame's memory is where the mapper says.
unsafe impl<P: PageTables> Scheme<P> for FourLevel {
    const GEOMETRY: Geometry = Geometry::X86_64;

    type IndexRoot = [IndexWord; 1 << Geometry::X86_64.index_root_shift];

    /// Nothing: tables carry the mark themselves.
    type Made = ();

    const NONE_MADE: () = ();

    type LocalTlb = LocalTlb;

    const LOCAL_TLB: LocalTlb = LocalTlb;

    fn occupied(mapper: &mut P, range: VirtRange) -> Option<VirtRange> {
        steps::occupied(&mut Tree::new(mapper), range)
    }

    fn missing(mapper: &mut P, range: VirtRange) -> usize {
        steps::missing_tables(&mut Tree::new(mapper), range)
    }

    fn install(mapper: &mut P, (): &mut (), range: VirtRange, spare: &mut Chain) {
        steps::install(&mut Tree::new(mapper), range, spare);
    }

    fn pages(
        mapper: &mut P,
        range: VirtRange,
        change: impl FnMut(&P, Leaf) -> Change,
    ) -> ControlFlow<()> {
        steps::pages(&mut Tree::new(mapper), range, change)
    }

    fn prune(mapper: &mut P, (): &mut (), range: VirtRange) -> Chain {
        steps::prune(&mut Tree::new(mapper), range)
    }

    /// The range: an `invlpg` drops all that is remembered of tables, whatever they serve.
    fn served(range: VirtRange) -> VirtRange {
        range
    }

    unsafe fn memory(mapper: &P, frame: PhysAddr) -> NonNull<u8> {
        // SAFETY: the caller promises that the frame is the source's, which the caller alone uses,
        // or a table.
        unsafe { mapper.table(entry::frame_at(frame)) }.cast()
    }
}

// SAFETY: `FrameAllocator` asks it of its implementors.
unsafe impl<F: FrameAllocator<Size4KiB> + 'static> Takes<F> for FourLevel {
    fn take(source: &mut F) -> Option<PhysAddr> {
        let frame: PhysFrame = source.allocate_frame()?;
        Some(entry::address_of(frame))
    }
}

impl<F> Returns<F> for FourLevel
where
    F: FrameAllocator<Size4KiB> + FrameDeallocator<Size4KiB> + 'static,
{
    unsafe fn give_back(source: &mut F, frame: PhysAddr) {
        // SAFETY: the caller promises that it came from here and is used by nobody.
        unsafe { source.deallocate_frame(entry::frame_at(frame)) };
    }
}
