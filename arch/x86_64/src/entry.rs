//! The bits of page-table entries, as the machine writes them and reads them back.
//!
//! | level | entry | meaning |
//! | --- | --- | --- |
//! | any | 0 | nothing |
//! | 2 to 4 | present, writable, [`MARK`] | links a table that the machine made |
//! | 2 to 4 | present, writable | links a table of the kernel's that the heap may use |
//! | 1 | [`MARK`] | Prepared |
//! | 1 | not present, `MARK`, writable, a frame | staged: on its way to or from Ready |
//! | 1 | present, `MARK`, writable, never executable, a frame | Ready |
//! | any | else | the kernel's |
//!
//! The entry of a Prepared page is not zero, so its table never counts as empty: neither for the
//! machine nor for the `CleanUp` of a kernel that tidies its tables.

use archipelago_api::PhysAddr;
use archipelago_paging::{EntryFormat, Link, PageState};
use x86_64::structures::paging::{PageTableFlags, PhysFrame};

/// The bits that mark entries as the heap's, which the MMU leaves to software: 9 and 58.
///
/// In an entry that links a table they say that the machine made the table and may free it; in a
/// last-level entry, that the page is the heap's. A kernel that sets both bits in entries of its
/// own must not do so inside the heap's windows.
pub const MARK: PageTableFlags = PageTableFlags::BIT_9.union(PageTableFlags::BIT_58);

/// The address of a frame in an entry: bits 12 to 51.
const FRAME: u64 = 0x000f_ffff_ffff_f000;

const LINK: u64 = MARK
    .union(PageTableFlags::PRESENT)
    .union(PageTableFlags::WRITABLE)
    .bits();

/// A frame in an entry that is not present. `WRITABLE` tells the entry from that of a Prepared
/// page, since 0 is a frame too.
const STAGED: PageTableFlags = MARK
    .union(PageTableFlags::WRITABLE)
    .union(PageTableFlags::NO_EXECUTE);

const READY: PageTableFlags = STAGED.union(PageTableFlags::PRESENT);

/// The frame at a physical address.
pub(crate) fn frame_at(addr: PhysAddr) -> PhysFrame {
    PhysFrame::containing_address(x86_64::PhysAddr::new_truncate(addr.value()))
}

/// The physical address of a frame.
pub(crate) fn address_of(frame: PhysFrame) -> PhysAddr {
    PhysAddr::new(frame.start_address().as_u64())
}

/// The format of entries of level 1, the last one.
#[derive(Debug)]
pub enum Entries {}

// SAFETY:
// - entries are words of 64 bits, and frames are read from the bits in which they were written;
// - a word without both bits of `MARK` is the kernel's, and the kernel sets them in no entry of the
//   heap's windows;
// - 0 is the entry of an Empty page alone, and links nothing;
// - `PRESENT` is set in Ready entries alone, and clear in the number of a frame.
unsafe impl EntryFormat for Entries {
    type Word = u64;

    fn read(word: u64) -> PageState {
        if word == 0 {
            return PageState::Empty;
        }
        let flags = PageTableFlags::from_bits_truncate(word);
        if !flags.contains(MARK) {
            return PageState::Kernel;
        }
        let frame = PhysAddr::new(word & FRAME);
        if flags.contains(PageTableFlags::PRESENT) {
            PageState::Ready(frame)
        } else if flags.contains(PageTableFlags::WRITABLE) {
            PageState::Staged(frame)
        } else {
            PageState::Prepared
        }
    }

    fn write(state: PageState) -> u64 {
        match state {
            PageState::Empty | PageState::Kernel => 0,
            PageState::Prepared => MARK.bits(),
            PageState::Staged(frame) => frame.value() & FRAME | STAGED.bits(),
            PageState::Ready(frame) => frame.value() & FRAME | READY.bits(),
        }
    }
}

/// Reads an entry of level 2, 3 or 4.
///
/// A table under an entry that is not writable counts as the kernel's: nothing below it can be
/// written.
pub(crate) fn read_link(word: u64) -> Link {
    const USABLE: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);
    if word == 0 {
        return Link::Empty;
    }
    let flags = PageTableFlags::from_bits_truncate(word);
    if !flags.contains(USABLE) || flags.contains(PageTableFlags::HUGE_PAGE) {
        return Link::Kernel;
    }
    Link::Table {
        frame: PhysAddr::new(word & FRAME),
        owned: flags.contains(MARK),
    }
}

/// The entry that links a table which the machine made.
pub(crate) fn write_link(table: PhysAddr) -> u64 {
    table.value() & FRAME | LINK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(word: u64) -> PageTableFlags {
        PageTableFlags::from_bits_truncate(word)
    }

    #[test]
    fn a_state_reads_back_as_it_was_written_frame_0_included() {
        for number in [0, 1, 0xff_ffff_ffff] {
            let frame = PhysAddr::new(number << 12);
            for state in [
                PageState::Staged(frame),
                PageState::Ready(frame),
                PageState::Prepared,
                PageState::Empty,
            ] {
                assert_eq!(Entries::read(Entries::write(state)), state);
            }
            let owned = Link::Table { frame, owned: true };
            assert_eq!(read_link(write_link(frame)), owned);
        }
    }

    #[test]
    fn only_ready_is_present_and_it_is_never_executable() {
        let frame = PhysAddr::new(0x5000);
        for (state, present) in [
            (PageState::Prepared, false),
            (PageState::Staged(frame), false),
            (PageState::Ready(frame), true),
        ] {
            let word = Entries::write(state);
            assert_eq!(flags(word).contains(PageTableFlags::PRESENT), present);
            assert_ne!(word, 0);
        }
        let ready = flags(Entries::write(PageState::Ready(frame)));
        assert!(ready.contains(PageTableFlags::NO_EXECUTE | PageTableFlags::WRITABLE));
        assert!(!ready.contains(PageTableFlags::USER_ACCESSIBLE));
    }

    #[test]
    fn what_the_kernel_wrote_is_the_kernels() {
        const DATA: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);
        let frame = PhysAddr::new(0x5000);
        let word = frame.value() | DATA.bits();
        assert_eq!(Entries::read(word), PageState::Kernel);
        assert_eq!(
            read_link(word),
            Link::Table {
                frame,
                owned: false
            }
        );
        let read_only = frame.value() | PageTableFlags::PRESENT.bits();
        assert_eq!(
            read_link(read_only),
            Link::Kernel,
            "nothing below it can be written"
        );
        let huge = 0x20_0000 | (DATA | PageTableFlags::HUGE_PAGE).bits();
        assert_eq!(read_link(huge), Link::Kernel);
        let absent = frame.value() | PageTableFlags::WRITABLE.bits();
        assert_eq!(read_link(absent), Link::Kernel, "swapped out, perhaps");
    }
}
