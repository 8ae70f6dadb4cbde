//! The format of entries under test: the empty one is not 0.

use archipelago_api::PhysAddr;
use archipelago_paging::{EntryFormat, PageState};

/// The empty entry.
pub(crate) const EMPTY: u32 = 1;
const VALID: u32 = 2;
const STAGED: u32 = 4;
const HEAP: u32 = 8;
const FRAME: u32 = 0xffff_f000;

/// Entries with a bit that stays set when nothing else is.
pub(crate) enum Entries {}

// SAFETY:
// - entries are words of 32 bits, and frames are read from the bits in which they were written;
// - an entry with other bits beside a frame's than those of the heap's states is the kernel's;
// - `EMPTY` is the entry of an Empty page alone, and the root links nothing by it;
// - `VALID` is set in Ready entries alone, and clear in the number of a frame.
unsafe impl EntryFormat for Entries {
    type Word = u32;

    fn read(entry: u32) -> PageState {
        let frame = PhysAddr::new(u64::from(entry & FRAME));
        match entry & !FRAME {
            EMPTY if entry == EMPTY => PageState::Empty,
            flags if flags == EMPTY | HEAP => PageState::Prepared,
            flags if flags == EMPTY | HEAP | STAGED => PageState::Staged(frame),
            flags if flags == EMPTY | HEAP | STAGED | VALID => PageState::Ready(frame),
            _ => PageState::Kernel,
        }
    }

    fn write(state: PageState) -> u32 {
        let number = |frame: PhysAddr| u32::try_from(frame.value()).expect("below 4 GiB");
        match state {
            PageState::Empty => EMPTY,
            PageState::Prepared => EMPTY | HEAP,
            PageState::Staged(frame) => number(frame) | EMPTY | HEAP | STAGED,
            PageState::Ready(frame) => number(frame) | EMPTY | HEAP | STAGED | VALID,
            PageState::Kernel => panic!("never written"),
        }
    }
}

/// The frame that a valid entry translates to.
pub(crate) fn frame_of(entry: u32) -> Option<PhysAddr> {
    (entry & VALID != 0).then(|| PhysAddr::new(u64::from(entry & FRAME)))
}
