//! The software page table: the directory that the refill handler walks.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use archipelago_api::{Geometry, IndexWord, PhysAddr, VirtAddr};
use archipelago_paging::{Directory, Format, Leaf, Link, SLOT_BYTES};

use crate::entry::Entry;
use crate::segment::{Kuseg, Segment};
use crate::tlb::LocalTlb;

/// Slots for all 32 bits of address, 4 MiB each. Those of kseg0 and kseg1, a quarter of them, are
/// never looked at; but a directory for less than the whole space would need a branch in the refill
/// handler.
const SLOTS: usize = 1024;

/// Entries of a table, which fill a frame.
const ENTRIES: usize = 1024;

type Table = [u32; ENTRIES];

/// Where kseg0 maps physical address 0, and how much it maps.
const KSEG0: usize = 0x8000_0000;
const KSEG0_BYTES: u64 = 512 << 20;

/// The table of slots that have none: nothing is mapped, for every address space.
pub(crate) static ABSENT: Table = [Entry::EMPTY.bits(); ENTRIES];

/// The directory. The refill handler finds it by its name.
pub(crate) static DIRECTORY: [AtomicPtr<Table>; SLOTS] =
    [const { AtomicPtr::new((&raw const ABSENT).cast_mut()) }; SLOTS];

/// The tables of the segment `S`, as far as they are in the directory that the crate's refill
/// handler walks. Whoever has them is the only one who changes them.
#[derive(Debug)]
pub struct SoftwareTables<S = Kuseg> {
    _segment: PhantomData<S>,
}

impl<S: Segment> SoftwareTables<S> {
    /// The segment's tables, on the first call. In a kernel's image that is linked into kseg0 the
    /// processor can walk them from the first instruction on: nothing is mapped.
    #[must_use]
    pub fn take() -> Option<Self> {
        let taken = S::is_taken().swap(true, Ordering::Relaxed);
        (!taken).then_some(Self {
            _segment: PhantomData,
        })
    }

    /// Whether a frame can hold a table: kseg0 has to reach it.
    #[must_use]
    pub const fn reaches(frame: PhysAddr) -> bool {
        frame.value() < KSEG0_BYTES
    }

    /// What the tables say of the page at `address`.
    #[must_use]
    pub fn entry(&self, address: VirtAddr) -> Entry {
        let page = address.value() % SLOT_BYTES / (SLOT_BYTES / ENTRIES);
        let table = slot(address.value() / SLOT_BYTES).load(Ordering::Acquire);
        // SAFETY: a slot holds a table of `ENTRIES` entries, of which this is one.
        let entry = unsafe { table.cast::<u32>().add(page) };
        // SAFETY: as above; who changes the table has borrowed these tables mutably, or their slot
        // is another segment's, of which a single word is read.
        Entry::from_memory(unsafe { entry.read_volatile() })
    }
}

/// The slot of that number.
fn slot(number: usize) -> &'static AtomicPtr<Table> {
    &DIRECTORY[number % SLOTS]
}

/// The pointer to physical memory in kseg0's reach.
fn kseg0(physical: PhysAddr) -> NonNull<u8> {
    // The reach has 29 bits, so that nothing is lost; of a frame beyond, which the contract rules
    // out, the memory of another would be answered.
    let low = usize::try_from(physical.value() % KSEG0_BYTES).unwrap_or(0);
    let pointer = ptr::with_exposed_provenance_mut(KSEG0 + low);
    NonNull::new(pointer).unwrap_or(NonNull::dangling())
}

// SAFETY:
// - the refill handler translates through `DIRECTORY`, all 32 bits of address alike, and loads
//   entries into the TLB as they are; what `Entries` reads as anything but Ready or Kernel is not
//   valid;
// - kseg0 maps a frame's memory, which is aligned to a frame;
// - the slots of a segment are changed through its only `SoftwareTables` alone, which `take` makes.
unsafe impl<S: Segment> Directory for SoftwareTables<S> {
    const GEOMETRY: Geometry = S::GEOMETRY;

    /// Both segments have fewer arenas than one table of the index has entries.
    type IndexRoot = [IndexWord; 1];

    type Format = Entries;

    type LocalTlb = LocalTlb;

    const LOCAL_TLB: LocalTlb = LocalTlb;

    fn link(&mut self, slot: usize) -> Link {
        let table = self::slot(slot).load(Ordering::Relaxed);
        if ptr::eq(table, &raw const ABSENT) {
            return Link::Empty;
        }
        let physical = table.addr().wrapping_sub(KSEG0);
        Link::Table(PhysAddr::new(physical as u64))
    }

    unsafe fn set_link(&mut self, slot: usize, table: PhysAddr) {
        // Release: the table's entries come first, for a handler that refills in between.
        self::slot(slot).store(kseg0(table).as_ptr().cast(), Ordering::Release);
    }

    unsafe fn clear_link(&mut self, slot: usize) {
        self::slot(slot).store((&raw const ABSENT).cast_mut(), Ordering::Release);
    }

    unsafe fn memory(&self, frame: PhysAddr) -> NonNull<u8> {
        kseg0(frame)
    }
}

/// How entries are written: as [`Entry`] has them.
#[derive(Debug)]
pub enum Entries {}

impl Format for Entries {
    fn read(entry: u32) -> Leaf {
        Entry::from_memory(entry).leaf()
    }

    fn write(leaf: Leaf) -> u32 {
        Entry::of(leaf).unwrap_or(Entry::EMPTY).bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_without_a_table_maps_nothing_for_every_address_space() {
        assert!(
            ABSENT
                .iter()
                .all(|&entry| Entries::read(entry) == Leaf::Empty)
        );
        assert!(
            DIRECTORY
                .iter()
                .all(|slot| ptr::eq(slot.load(Ordering::Relaxed), &raw const ABSENT))
        );
    }

    #[test]
    fn frames_beyond_kseg0_hold_no_tables() {
        assert!(SoftwareTables::<Kuseg>::reaches(PhysAddr::new(0)));
        assert!(SoftwareTables::<Kuseg>::reaches(PhysAddr::new(0x1fff_f000)));
        assert!(!SoftwareTables::<Kuseg>::reaches(PhysAddr::new(
            0x2000_0000
        )));
    }

    #[test]
    fn there_is_one_owner_of_a_segments_tables() {
        assert!(SoftwareTables::<crate::Kseg23>::take().is_some());
        assert!(SoftwareTables::<crate::Kseg23>::take().is_none());
    }

    #[test]
    fn a_frame_in_stock_is_no_valid_entry() {
        for frame in [0_u32, 0x1000, 0x1fff_f000] {
            assert!(!Entry::from_memory(frame).contains(Entry::VALID));
        }
    }
}
