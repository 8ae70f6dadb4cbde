//! Two levels of tables over 32 bits of address: a directory of 4 MiB slots, each with a table of
//! 1024 entries in one frame of 4 KiB.
//!
//! How a slot links a table is the [`Directory`]'s matter: one word on a machine that walks in
//! software, four where the hardware's own tables are of 1 KiB and four of them share a frame. How
//! an entry is written is the [`Format`]'s.

mod directory;
mod slots;
mod walk;

use core::ops::ControlFlow;
use core::ptr::NonNull;

use archipelago_api::{Geometry, PhysAddr, VirtRange};

pub use directory::{Directory, Format, FrameReturn, FrameSource, Link};
use slots::Slots;
use walk::Table;

use crate::{Chain, Change, Leaf, Returns, Scheme, Takes, pieces};

/// Bytes of address space that a slot translates.
pub const SLOT_BYTES: usize = 4 << 20;
/// Entries of a table.
const ENTRIES: usize = 1024;
const PAGE_BYTES: usize = SLOT_BYTES / ENTRIES;

/// The [`Scheme`] of two levels, over any [`Directory`].
///
/// A slot is the heap's or the kernel's as a whole, but for tables of the kernel's that fill a slot
/// in the directory's own way: pages beside the kernel's are used there, and the table is never
/// freed. Anything else of the kernel's in a slot refuses windows in it.
#[derive(Debug)]
pub enum TwoLevel {}

/// The parts of `range` in each slot, with the slot's number.
fn slots(range: VirtRange) -> impl Iterator<Item = (usize, VirtRange)> {
    pieces(range, SLOT_BYTES).map(|piece| (piece.base().value() / SLOT_BYTES, piece))
}

// SAFETY:
// - the directory promises what its format's Ready entries are, and that its links are walked;
// - `pages` goes through all slots of the range, and a table that was installed stays linked until
//   it is pruned, since nobody but the machine changes links of reserved ranges;
// - `prune` frees those of `made` alone, which only `install` adds to, and looks at all entries;
// - `memory` is the directory's.
unsafe impl<D: Directory> Scheme<D> for TwoLevel {
    const GEOMETRY: Geometry = {
        assert!(
            D::GEOMETRY.address_bits <= 32 && D::GEOMETRY.granule_bytes() == PAGE_BYTES,
            "two levels translate 32 bits of address to pages of 4 KiB"
        );
        D::GEOMETRY
    };

    type IndexRoot = D::IndexRoot;

    type Made = Slots;

    const NONE_MADE: Slots = Slots::EMPTY;

    type LocalTlb = D::LocalTlb;

    const LOCAL_TLB: D::LocalTlb = D::LOCAL_TLB;

    fn occupied(directory: &mut D, range: VirtRange) -> Option<VirtRange> {
        for (slot, piece) in slots(range) {
            match directory.link(slot) {
                Link::Empty => {}
                Link::Kernel => return Some(piece),
                Link::Table(frame) => {
                    // SAFETY: the slot links it, and the directory is borrowed mutably.
                    let table = unsafe { Table::new(directory, frame) };
                    let taken = pieces(piece, PAGE_BYTES)
                        .find(|page| table.read(page.base()) != Leaf::Empty);
                    if taken.is_some() {
                        return taken;
                    }
                }
            }
        }
        None
    }

    fn missing(directory: &mut D, range: VirtRange) -> usize {
        slots(range)
            .filter(|&(slot, _)| directory.link(slot) == Link::Empty)
            .count()
    }

    fn install(directory: &mut D, made: &mut Slots, range: VirtRange, spare: &mut Chain) {
        for (slot, piece) in slots(range) {
            let frame = match directory.link(slot) {
                Link::Table(frame) => frame,
                Link::Kernel => continue,
                Link::Empty => {
                    let Some(frame) = spare.pop::<Self, D>(directory) else {
                        return;
                    };
                    // SAFETY: the frame is taken, to be linked, and the directory borrowed mutably.
                    unsafe { Table::new(directory, frame) }.clear();
                    // SAFETY: the frame is ours, and an empty table as of now.
                    unsafe { directory.set_link(slot, frame) };
                    made.insert(slot);
                    frame
                }
            };
            // SAFETY: the slot links it, and the directory is borrowed mutably.
            let mut table = unsafe { Table::new(directory, frame) };
            for page in pieces(piece, PAGE_BYTES) {
                table.write(page.base(), Leaf::Prepared);
            }
        }
    }

    fn pages(
        directory: &mut D,
        range: VirtRange,
        mut change: impl FnMut(&D, Leaf) -> Change,
    ) -> ControlFlow<()> {
        for (slot, piece) in slots(range) {
            let Link::Table(frame) = directory.link(slot) else {
                continue;
            };
            // SAFETY: the slot links it, and the directory is borrowed mutably.
            let mut table = unsafe { Table::new(directory, frame) };
            for page in pieces(piece, PAGE_BYTES) {
                let leaf = table.read(page.base());
                match change(directory, leaf) {
                    Change::Keep => {}
                    Change::Write(leaf) => table.write(page.base(), leaf),
                    Change::Stop => return ControlFlow::Break(()),
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn prune(directory: &mut D, made: &mut Slots, range: VirtRange) -> Chain {
        let mut loose = Chain::EMPTY;
        for (slot, _) in slots(range) {
            let Link::Table(frame) = directory.link(slot) else {
                continue;
            };
            // SAFETY: the slot links it, and the directory is borrowed mutably.
            let empty = unsafe { Table::new(directory, frame) }.is_empty();
            if !made.contains(slot) || !empty {
                continue;
            }
            // SAFETY: the machine linked the table there, and nothing is in it.
            unsafe { directory.clear_link(slot) };
            made.remove(slot);
            // SAFETY: the machine made the table, and nothing links it any more; a CPU that still
            // walks it finds entries that are not valid.
            unsafe { loose.push::<Self, D>(directory, frame) };
        }
        loose
    }

    /// Whole slots: a CPU may remember the link of a slot by any of its addresses.
    fn served(range: VirtRange) -> VirtRange {
        let base = range.base().align_down(SLOT_BYTES);
        let last = range.last().unwrap_or(base);
        let bytes = (last.value() / SLOT_BYTES - base.value() / SLOT_BYTES + 1)
            .checked_mul(SLOT_BYTES)
            .and_then(|bytes| VirtRange::new(base, bytes));
        // All 32 bits of a 32-bit machine are no range of a length; but neither are they all
        // reserved, since whoever asks runs somewhere.
        bytes.unwrap_or(range)
    }

    unsafe fn memory(directory: &D, frame: PhysAddr) -> NonNull<u8> {
        // SAFETY: the caller promises that the frame is the source's or a table.
        unsafe { directory.memory(frame) }
    }
}

// SAFETY: the source promises it.
unsafe impl<F: FrameSource> Takes<F> for TwoLevel {
    fn take(source: &mut F) -> Option<PhysAddr> {
        source.take()
    }
}

impl<F: FrameReturn> Returns<F> for TwoLevel {
    unsafe fn give_back(source: &mut F, frame: PhysAddr) {
        // SAFETY: the caller promises what is asked for.
        unsafe { source.give_back(frame) };
    }
}
