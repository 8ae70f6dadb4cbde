//! The bits of page-table entries: one half of a TLB entry each, as EntryLo0 and EntryLo1 take it.
//!
//! | entry | meaning |
//! | --- | --- |
//! | [`GLOBAL`](Entry::GLOBAL) alone | nothing |
//! | [`MARK`](Entry::MARK), global | Prepared |
//! | not valid, `MARK`, global, writable, a frame | on its way to or from Ready: out of reach |
//! | valid, `MARK`, global, writable, cached, a frame | Ready |
//! | anything else | the kernel's |
//!
//! A TLB entry holds a pair of pages, and is global only if both halves are. So every entry is,
//! empty ones too: else a page would stop being global when its neighbour goes.
//!
//! # Source
//! MIPS32 Architecture For Programmers, volume III (MD00090), "EntryLo0, EntryLo1".

use archipelago_api::PhysAddr;
use archipelago_paging::PageState;

bitflags::bitflags! {
    /// The bits of an entry besides the frame's number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Entry: u32 {
        /// G: the entry serves every address space. Both halves of a pair have to say so.
        const GLOBAL = 1 << 0;
        /// V: the page can be touched.
        const VALID = 1 << 1;
        /// D: the page can be written.
        const WRITABLE = 1 << 2;
        /// C: cached, write back.
        const CACHED = 3 << 3;
        /// The page is the heap's. On a processor with `RIXI` this bit is XI, "not to be
        /// executed"; others, the 24K among them, drop it on the way into the TLB.
        const MARK = 1 << 30;
        /// The frame's number.
        const FRAME = 0x3fff_ffc0;
    }
}

/// The shift from a physical address down to a frame's number in its place.
const FRAME_SHIFT: u32 = 6;

/// A frame in an entry that is not valid. `WRITABLE` tells it from Prepared, since 0 is a frame
/// too.
const STAGED: Entry = Entry::MARK.union(Entry::GLOBAL).union(Entry::WRITABLE);
const READY: Entry = STAGED.union(Entry::CACHED).union(Entry::VALID);

impl Entry {
    /// The entry of a page that is not mapped.
    pub const EMPTY: Self = Self::GLOBAL;

    const PREPARED: Self = Self::MARK.union(Self::GLOBAL);

    /// The entry whose bits are in memory.
    #[must_use]
    pub const fn from_memory(bits: u32) -> Self {
        Self::from_bits_retain(bits)
    }

    /// An entry for a page of `frame`, whose bits besides the frame are `bits`.
    #[must_use]
    pub const fn new(frame: PhysAddr, bits: Self) -> Self {
        // Beyond 2^36, where no frame is, the cut loses bits.
        let number = (frame.value() >> FRAME_SHIFT) & Self::FRAME.bits() as u64;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the line above leaves thirty bits"
        )]
        Self::from_bits_retain(number as u32 | bits.bits())
    }

    /// The physical address of the frame.
    #[must_use]
    pub const fn frame(self) -> PhysAddr {
        PhysAddr::new(((self.bits() & Self::FRAME.bits()) as u64) << FRAME_SHIFT)
    }

    /// The state of the page, as the heap reads the entry.
    #[must_use]
    pub fn state(self) -> PageState {
        if self == Self::EMPTY {
            return PageState::Empty;
        }
        let bits = self.difference(Self::FRAME);
        if bits == READY {
            PageState::Ready(self.frame())
        } else if bits == STAGED {
            PageState::Staged(self.frame())
        } else if self == Self::PREPARED {
            PageState::Prepared
        } else {
            PageState::Kernel
        }
    }

    /// The entry for `state`; `None` for the kernel's, which the heap never writes.
    #[must_use]
    pub const fn of(state: PageState) -> Option<Self> {
        match state {
            PageState::Empty => Some(Self::EMPTY),
            PageState::Prepared => Some(Self::PREPARED),
            PageState::Staged(frame) => Some(Self::new(frame, STAGED)),
            PageState::Ready(frame) => Some(Self::new(frame, READY)),
            PageState::Kernel => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first frame, one in kseg0's reach, and the last of 36 bits.
    const FRAMES: [u64; 4] = [0, 0x1000, 0x1fff_f000, 0xf_ffff_f000];

    #[test]
    fn an_entry_reads_back_as_it_was_written_frame_0_included() {
        for frame in FRAMES.map(PhysAddr::new) {
            for state in [
                PageState::Empty,
                PageState::Prepared,
                PageState::Staged(frame),
                PageState::Ready(frame),
            ] {
                let entry = Entry::of(state).expect("the heap's");
                let read = Entry::from_memory(entry.bits());
                assert_eq!(read.state(), state);
                assert_eq!(
                    read.contains(Entry::VALID),
                    matches!(state, PageState::Ready(_)),
                    "{state:?}"
                );
            }
        }
    }

    #[test]
    fn the_bits_are_where_the_manual_has_them() {
        let entry = Entry::of(PageState::Ready(PhysAddr::new(0x0123_4000))).expect("the heap's");
        let (number, cached, rest) = (0x1234 << 6, 3 << 3, 0b111);
        assert_eq!(entry.bits(), 1 << 30 | number | cached | rest);
    }

    #[test]
    fn every_entry_is_global_so_that_neighbours_do_not_matter() {
        let frame = PhysAddr::new(0x5000);
        for state in [
            PageState::Empty,
            PageState::Prepared,
            PageState::Staged(frame),
            PageState::Ready(frame),
        ] {
            assert!(Entry::of(state).is_some_and(|entry| entry.contains(Entry::GLOBAL)));
        }
        assert_eq!(Entry::of(PageState::Kernel), None);
    }

    #[test]
    fn what_the_kernel_wrote_is_the_kernels() {
        let frame = PhysAddr::new(0x5000);
        let usual = Entry::GLOBAL | Entry::VALID | Entry::WRITABLE | Entry::CACHED;
        for entry in [
            Entry::new(frame, usual),
            Entry::new(frame, usual.difference(Entry::WRITABLE)),
            // Swapped out, for all that is known.
            Entry::new(frame, Entry::GLOBAL),
            // Not global, as in memory that was not made a table.
            Entry::from_memory(0),
            // Marked, but read-only.
            Entry::new(frame, READY.difference(Entry::WRITABLE)),
        ] {
            assert_eq!(entry.state(), PageState::Kernel, "{entry:?}");
        }
    }
}
