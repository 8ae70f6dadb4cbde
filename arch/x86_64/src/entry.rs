//! What the machine writes into page-table entries, and how it reads them back.
//!
//! | level | entry | meaning |
//! | --- | --- | --- |
//! | any | 0 | nothing |
//! | 2 to 4 | present, [`MARK`] | links a table that the machine made |
//! | 2 to 4 | present | links a table of the kernel's, or maps a huge page |
//! | 1 | [`MARK`] | Prepared |
//! | 1 | not present, `MARK`, writable, a frame | on its way to or from Ready: nobody can reach the frame |
//! | 1 | present, `MARK`, writable, never executable, a frame | Ready |
//! | any | else | the kernel's |
//!
//! A Prepared page has an entry that is not zero so that its table is never taken for an empty one:
//! not by [`prune`](crate::steps::prune), and not by the `CleanUp` of a kernel that tidies its
//! tables.

use archipelago_api::PhysAddr;
use archipelago_paging::Leaf;
use x86_64::structures::paging::page_table::PageTableEntry;
use x86_64::structures::paging::{PageTableFlags, PhysFrame};

/// The bits that say "the heap's", which the MMU leaves to software: 9 and 58. In an entry that
/// links a table they say that the machine made it and may free it; in a last-level entry, that the
/// page is the heap's. A kernel that uses both bits at once in entries of its own must not do so
/// inside the heap's windows.
pub const MARK: PageTableFlags = PageTableFlags::BIT_9.union(PageTableFlags::BIT_58);

const LINK: PageTableFlags = MARK
    .union(PageTableFlags::PRESENT)
    .union(PageTableFlags::WRITABLE);

/// A frame in an entry that is not present. `WRITABLE` tells it from Prepared, since 0 is a frame
/// too.
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

/// Reads a last-level entry.
pub(crate) fn read(entry: &PageTableEntry) -> Leaf {
    let flags = entry.flags();
    if entry.is_unused() {
        return Leaf::Empty;
    }
    if !flags.contains(MARK) {
        return Leaf::Kernel;
    }
    let frame = PhysAddr::new(entry.addr().as_u64());
    if flags.contains(PageTableFlags::PRESENT) {
        Leaf::Ready(frame)
    } else if flags.contains(PageTableFlags::WRITABLE) {
        Leaf::Staged(frame)
    } else {
        Leaf::Prepared
    }
}

/// Writes a last-level entry.
pub(crate) fn write(entry: &mut PageTableEntry, leaf: Leaf) {
    match leaf {
        Leaf::Empty => entry.set_unused(),
        Leaf::Prepared => {
            entry.set_unused();
            entry.set_flags(MARK);
        }
        Leaf::Staged(frame) => entry.set_frame(frame_at(frame), STAGED),
        Leaf::Ready(frame) => entry.set_frame(frame_at(frame), READY),
        Leaf::Kernel => {}
    }
}

/// An entry of level 2 to 4, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Empty,
    /// A table that can hold pages of the heap.
    Table {
        frame: PhysFrame,
        ours: bool,
    },
    /// A huge page, a table below which nothing can be written, or something of the kernel's that
    /// is not present.
    Kernel,
}

impl Link {
    pub(crate) fn read(entry: &PageTableEntry) -> Self {
        let flags = entry.flags();
        if entry.is_unused() {
            return Self::Empty;
        }
        match entry.frame() {
            Ok(frame) if flags.contains(PageTableFlags::WRITABLE) => Self::Table {
                frame,
                ours: flags.contains(MARK),
            },
            _ => Self::Kernel,
        }
    }

    /// Links a table that the machine made.
    pub(crate) fn make(entry: &mut PageTableEntry, table: PhysFrame) {
        entry.set_frame(table, LINK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_reads_back_as_it_was_written_frame_0_included() {
        let mut entry = PageTableEntry::new();
        for number in [0, 1, 0xff_ffff_ffff] {
            let frame = PhysAddr::new(number << 12);
            for leaf in [
                Leaf::Staged(frame),
                Leaf::Ready(frame),
                Leaf::Prepared,
                Leaf::Empty,
            ] {
                write(&mut entry, leaf);
                assert_eq!(read(&entry), leaf);
            }
        }
    }

    #[test]
    fn only_ready_is_present_and_it_is_never_executable() {
        let frame = PhysAddr::new(0x5000);
        let mut entry = PageTableEntry::new();
        for (leaf, present) in [
            (Leaf::Prepared, false),
            (Leaf::Staged(frame), false),
            (Leaf::Ready(frame), true),
        ] {
            write(&mut entry, leaf);
            assert_eq!(entry.flags().contains(PageTableFlags::PRESENT), present);
            assert!(!entry.is_unused());
        }
        assert!(
            entry
                .flags()
                .contains(PageTableFlags::NO_EXECUTE | PageTableFlags::WRITABLE)
        );
        assert!(!entry.flags().contains(PageTableFlags::USER_ACCESSIBLE));
    }

    #[test]
    fn what_the_kernel_wrote_is_the_kernels() {
        let frame = frame_at(PhysAddr::new(0x5000));
        let mut entry = PageTableEntry::new();
        entry.set_frame(frame, PageTableFlags::PRESENT | PageTableFlags::WRITABLE);
        assert_eq!(read(&entry), Leaf::Kernel);
        assert_eq!(Link::read(&entry), Link::Table { frame, ours: false });
        entry.set_frame(frame, PageTableFlags::PRESENT);
        assert_eq!(
            Link::read(&entry),
            Link::Kernel,
            "nothing below it can be written"
        );
        entry.set_addr(
            x86_64::PhysAddr::new(0x20_0000),
            PageTableFlags::PRESENT | PageTableFlags::WRITABLE | PageTableFlags::HUGE_PAGE,
        );
        assert_eq!(Link::read(&entry), Link::Kernel);
        Link::make(&mut entry, frame);
        assert_eq!(Link::read(&entry), Link::Table { frame, ours: true });
    }
}
