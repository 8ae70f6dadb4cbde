//! The software page table: the directory that the refill handler walks, and the paging mode over
//! it.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use archipelago_api::{Geometry, IndexWord, PhysAddr, VirtAddr};
use archipelago_paging::{
    EntryFormat, ForOneCpu, Level, Link, PageState, PagingMode, PlainFrames, RootSet, TableRef,
};

use crate::entry::Entry;
use crate::segment::{Kuseg, Segment};
use crate::tlb::LocalTlb;

/// Slots for all 32 bits of address, 4 MiB each. The refill handler never walks those of kseg0 and
/// kseg1, a quarter of them; but a directory for less than the whole space would need a branch in
/// the handler.
const SLOTS: Level = Level::new(22, 10);

/// Entries of a slot's table, which fill a frame.
const PAGES: Level = Level::new(12, 10);

type Table = [u32; PAGES.entries()];

/// The address at which kseg0 maps physical address 0.
const KSEG0: usize = 0x8000_0000;
/// Bytes of physical memory that kseg0 maps.
const KSEG0_BYTES: u64 = 512 << 20;

/// The table of slots that link none: nothing is mapped, for every address space.
pub(crate) static ABSENT: Table = [Entry::EMPTY.bits(); PAGES.entries()];

/// The directory. The refill handler finds it by its name.
pub(crate) static DIRECTORY: [AtomicPtr<Table>; SLOTS.entries()] =
    [const { AtomicPtr::new((&raw const ABSENT).cast_mut()) }; SLOTS.entries()];

/// The tables of the segment `S` in the directory that the crate's refill handler walks. There is
/// one value for each segment, and only its owner changes the segment's tables.
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

    /// The entry of the page at `address`.
    #[must_use]
    pub fn entry(&self, address: VirtAddr) -> Entry {
        let table = slot(SLOTS.index(address)).load(Ordering::Acquire);
        // SAFETY: a slot holds a table of 1024 entries, and the index is one of them.
        let entry = unsafe { table.cast::<u32>().add(PAGES.index(address)) };
        // SAFETY: the entry is a word of a table; who changes it has borrowed these tables
        // mutably, or has those of another segment, of which one word is read.
        Entry::from_memory(unsafe { entry.read_volatile() })
    }

    /// The table of `slot`, a number of 4 MiB from address 0 on, modulo 1024.
    #[must_use]
    pub fn link(&self, slot: usize) -> Link {
        let table = self::slot(slot).load(Ordering::Relaxed);
        if ptr::eq(table, &raw const ABSENT) {
            return Link::Empty;
        }
        let physical = table.addr().wrapping_sub(KSEG0);
        Link::Table {
            frame: PhysAddr::new(physical as u64),
            owned: false,
        }
    }

    /// Links the table in `frame` in `slot`, which linked nothing.
    ///
    /// # Safety
    /// - `slot` is one of the segment's.
    /// - Every entry of the frame is [`Entry::EMPTY`].
    /// - The frame belongs to the directory until the slot links it no more.
    pub unsafe fn set_link(&mut self, slot: usize, frame: PhysAddr) {
        // Release: the table's entries come first, for a handler that refills in between.
        self::slot(slot).store(self.memory(frame).as_ptr().cast(), Ordering::Release);
    }

    /// The memory of `frame`, in kseg0.
    #[must_use]
    pub fn memory(&self, frame: PhysAddr) -> NonNull<u8> {
        // kseg0 has 29 bits, so nothing is lost. A frame beyond its reach, which the contract
        // rules out, would get the memory of another one.
        let low = usize::try_from(frame.value() % KSEG0_BYTES).unwrap_or(0);
        let pointer = ptr::with_exposed_provenance_mut(KSEG0 + low);
        NonNull::new(pointer).unwrap_or(NonNull::dangling())
    }
}

/// The slot of that number.
fn slot(number: usize) -> &'static AtomicPtr<Table> {
    &DIRECTORY[number % SLOTS.entries()]
}

/// The mode of [`Paging`](crate::Paging): a directory of slots, each with a table of [`Entries`],
/// which the refill handler walks.
#[derive(Debug)]
pub enum SoftwareWalk {}

// SAFETY:
// - the refill handler translates through `DIRECTORY`, all 32 bits of address alike, and loads
//   entries into the TLB as they are;
// - Ready entries are valid and writable, and no other entry of the heap's is valid;
// - kseg0 maps a frame's memory, which is aligned to a frame;
// - the slots of a segment are changed through its only `SoftwareTables` alone, which `take` makes.
unsafe impl<S: Segment> PagingMode<SoftwareTables<S>> for SoftwareWalk {
    const GEOMETRY: Geometry = S::GEOMETRY;

    /// A root of one word: both segments have fewer arenas than one table of the index has entries.
    type IndexRoot = [IndexWord; 1];

    const LEVELS: &'static [Level] = &[SLOTS, PAGES];

    type Format = Entries;

    /// Slots are pointers that the handler uses as they are, without a bit for a mark.
    type OwnedTables = RootSet;

    type Frames = PlainFrames;

    type LocalTlb = LocalTlb;

    const LOCAL_TLB: ForOneCpu<LocalTlb> = ForOneCpu::new(LocalTlb::HERE);

    unsafe fn link(tables: &mut SoftwareTables<S>, _root: TableRef, slot: usize) -> Link {
        tables.link(slot)
    }

    unsafe fn set_link(
        tables: &mut SoftwareTables<S>,
        _root: TableRef,
        slot: usize,
        frame: PhysAddr,
    ) {
        // SAFETY:
        // - the heap's ranges lie in the segment, and so do their slots;
        // - the caller promises a table of Empty entries;
        // - the caller promises the frame to the tables.
        unsafe { tables.set_link(slot, frame) };
    }

    unsafe fn clear_link(_tables: &mut SoftwareTables<S>, _root: TableRef, slot: usize) {
        self::slot(slot).store((&raw const ABSENT).cast_mut(), Ordering::Release);
    }

    unsafe fn memory(tables: &SoftwareTables<S>, frame: PhysAddr) -> NonNull<u8> {
        tables.memory(frame)
    }

    #[cfg(any(target_arch = "mips", doc))]
    unsafe fn leaves(tables: &SoftwareTables<S>, frame: PhysAddr) {
        crate::cache::write_back_page(tables.memory(frame).addr().get());
    }
}

/// The format of a table's entries: [`Entry`] has the bits.
#[derive(Debug)]
pub enum Entries {}

// SAFETY:
// - entries are words of 32 bits, and `Entry` reads a frame from the bits in which it wrote it;
// - a word with other bits beside a frame's than those of the heap's states is the kernel's;
// - `Entry::EMPTY` is the entry of an Empty page alone;
// - Ready entries alone are valid, and slots link tables by pointers.
unsafe impl EntryFormat for Entries {
    type Word = u32;

    fn read(word: u32) -> PageState {
        Entry::from_memory(word).state()
    }

    fn write(state: PageState) -> u32 {
        Entry::of(state).unwrap_or(Entry::EMPTY).bits()
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
                .all(|&entry| Entries::read(entry) == PageState::Empty)
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
