//! The machine: levels, entry format and TLB maintenance, as a crate for this machine would have
//! them beside its kernel.

use archipelago_api::{Geometry, IndexWord, PhysAddr, VirtRange};
use archipelago_paging::{
    EntryFormat, ForOneCpu, Level, Link, PageState, RadixFormat, Tlb, pieces,
};

const VALID: u64 = 1;
const READ: u64 = 1 << 1;
const WRITE: u64 = 1 << 2;
const EXECUTE: u64 = 1 << 3;
const GLOBAL: u64 = 1 << 5;
const ACCESSED: u64 = 1 << 6;
const DIRTY: u64 = 1 << 7;
/// The first of the two bits that the MMU leaves to software: the heap's mark.
const MARK: u64 = 1 << 8;
/// The place of the frame's number.
const FRAME_SHIFT: u32 = 10;
const FRAME: u64 = ((1 << 44) - 1) << FRAME_SHIFT;

/// A frame in an entry that is not valid. `WRITE` tells the entry from that of a Prepared page.
const STAGED: u64 = MARK | WRITE;
const READY: u64 = STAGED | VALID | READ | GLOBAL | ACCESSED | DIRTY;

/// Three levels of tables over 39 bits of address.
#[derive(Debug)]
pub(crate) enum Sv39 {}

fn frame_of(word: u64) -> PhysAddr {
    PhysAddr::new((word & FRAME) >> FRAME_SHIFT << 12)
}

fn number_of(frame: PhysAddr) -> u64 {
    frame.value() >> 12 << FRAME_SHIFT
}

// SAFETY:
// - entries are words of 64 bits, and frames are read from the bits in which they were written;
// - the states differ in the bits beside the frame's, of which an entry that was not written for a
//   frame has those of no state with a frame;
// - 0 is the empty entry alone, and links nothing;
// - `VALID` is set in Ready entries alone, and clear in the number of a frame.
unsafe impl EntryFormat for Sv39 {
    type Word = u64;

    fn read(word: u64) -> PageState {
        match word & !FRAME {
            0 if word == 0 => PageState::Empty,
            MARK if word == MARK => PageState::Prepared,
            STAGED => PageState::Staged(frame_of(word)),
            READY => PageState::Ready(frame_of(word)),
            _ => PageState::Kernel,
        }
    }

    fn write(state: PageState) -> u64 {
        match state {
            PageState::Empty | PageState::Kernel => 0,
            PageState::Prepared => MARK,
            PageState::Staged(frame) => number_of(frame) | STAGED,
            PageState::Ready(frame) => number_of(frame) | READY,
        }
    }
}

// SAFETY:
// - a CPU walks three levels of 512 entries, and takes bits 12 to 38 of an address for indices;
// - a Ready entry is readable and writable by the kernel, and no other entry of the heap's is
//   valid;
// - an entry links a table if it is valid and neither readable, writable nor executable.
unsafe impl RadixFormat for Sv39 {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 39,
        base: 0xffff_ffc0_0000_0000,
        granule_shift: 12,
        page_shift: 12,
        chunk_shift: 21,
        arena_shift: 26,
        index_root_shift: 3,
        index_table_shift: 10,
    };

    type IndexRoot = [IndexWord; 8];

    const LEVELS: &'static [Level] = &[Level::new(30, 9), Level::new(21, 9), Level::new(12, 9)];

    type LocalTlb = ();

    const LOCAL_TLB: ForOneCpu<()> = ForOneCpu::new(());

    fn read_link(word: u64) -> Link {
        if word == 0 {
            Link::Empty
        } else if word & (VALID | READ | WRITE | EXECUTE) == VALID {
            Link::Table {
                frame: frame_of(word),
                owned: word & MARK != 0,
            }
        } else {
            Link::Kernel
        }
    }

    fn write_link(frame: PhysAddr) -> u64 {
        number_of(frame) | VALID | MARK
    }
}

/// The fence of the virtual memory: `sfence.vma`.
///
/// # Safety
/// An implementor promises that each does what its page says.
pub(crate) unsafe trait Fence: Send + Sync + 'static {
    /// Drops cached entries of the page at `address`, valid or not, but no links to tables.
    fn page(&self, address: usize);

    /// Drops all cached entries and links.
    fn all(&self);
}

/// TLB maintenance by fences.
pub(crate) struct Maintenance<F>(pub(crate) F);

/// More pages than this are fenced all at once. A table translates more.
const SINGLE_PAGES: usize = 64;

// SAFETY:
// - a flush of few pages drops their entries, and one for tables, which is for all pages that they
//   translate, drops all links;
// - CPUs may cache entries that are not valid, so pages that became Ready are fenced too.
unsafe impl<F: Fence> Tlb for Maintenance<F> {
    fn flush(&self, range: VirtRange) {
        if range.bytes() / 4096 > SINGLE_PAGES {
            self.0.all();
        } else {
            pieces(range, 4096).for_each(|page| self.0.page(page.base().value()));
        }
    }

    fn filled(&self, range: VirtRange) {
        self.flush(range);
    }
}
