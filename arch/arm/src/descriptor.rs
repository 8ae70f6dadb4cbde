//! The words of short-descriptor translation tables: the bits that the machine writes, and how it
//! reads them back. Functions of words alone.
//!
//! | word | meaning |
//! | --- | --- |
//! | 0 | nothing |
//! | second level, [`Invalid::HEAP`] alone | Prepared |
//! | second level, `HEAP`, [`Invalid::STAGED`], a frame | on its way to or from Ready |
//! | second level, [`SmallPage::READY`], a frame | Ready |
//! | first level, four links to one frame | a table for 4 MiB |
//! | else | the kernel's |
//!
//! The layouts are those of the ARM Architecture Reference Manual, ARMv7-A and ARMv7-R edition
//! (DDI 0406C), B3.5.1 "Short-descriptor translation table format descriptors". A word whose two
//! lowest bits are 0 translates to nothing, and its other bits are the software's.

use archipelago_api::PhysAddr;
use archipelago_paging::{EntryFormat, Link, PageState};
use bitflags::bitflags;

/// The address of a frame of 4 KiB in a word.
const FRAME: u32 = 0xffff_f000;
/// First-level words of a slot of 4 MiB.
pub(crate) const LINKS: usize = 4;
/// Bytes of a second-level table: 256 words, for 1 MiB.
const TABLE_BYTES: u32 = 1024;

/// Bits 1 and 0 of a first-level word that links a table; bits 8 to 5, its domain, are 0.
pub(crate) const FIRST_LEVEL: u32 = 0b01;
const FIRST_LEVEL_KIND: u32 = 0b11;
const FIRST_LEVEL_TABLE: u32 = 0xffff_fc00;

bitflags! {
    /// A second-level word that maps a small page, without its address.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SmallPage: u32 {
        /// Never executed.
        const XN = 1;
        /// A small page.
        const SMALL = 1 << 1;
        /// With `TEX0` and `C`: Normal memory, write-back, write-allocate, inner and outer.
        const B = 1 << 2;
        /// See `B`.
        const C = 1 << 3;
        /// Without `AP1` and `AP2`: read-write for the kernel, no access for user
        /// programs. Where the access flag is enabled, this bit is the flag, with that effect.
        const AP0 = 1 << 4;
        /// User programs may access the page too.
        const AP1 = 1 << 5;
        /// See `B`.
        const TEX0 = 1 << 6;
        /// Never written.
        const AP2 = 1 << 9;
        /// Shareable: kept coherent between CPUs.
        const S = 1 << 10;
        /// The page is in one address space only. The heap's pages are in all of them.
        const NG = 1 << 11;

        /// The bits of a Ready page.
        const READY = Self::XN.bits()
            | Self::SMALL.bits()
            | Self::B.bits()
            | Self::C.bits()
            | Self::AP0.bits()
            | Self::TEX0.bits()
            | Self::S.bits();
    }
}

bitflags! {
    /// A second-level word that maps nothing, without its address.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Invalid: u32 {
        /// The page is the heap's.
        const HEAP = 1 << 2;
        /// The word names a frame. Frame 0 is a frame too.
        const STAGED = 1 << 3;
    }
}

/// Second-level words of small pages.
#[derive(Debug)]
pub enum Short {}

// SAFETY:
// - entries are words of 32 bits, and frames are read from the bits in which they were written;
// - a word with other bits beside a frame's than those of the heap's states is the kernel's;
// - 0 is the word of an Empty page alone, and links nothing;
// - the lowest two bits, which make a word valid, are set in Ready words alone, and are 0 in the
//   number of a frame.
unsafe impl EntryFormat for Short {
    type Word = u32;

    fn read(word: u32) -> PageState {
        const PREPARED: u32 = Invalid::HEAP.bits();
        const STAGED: u32 = Invalid::HEAP.union(Invalid::STAGED).bits();
        const READY: u32 = SmallPage::READY.bits();
        let frame = PhysAddr::new(u64::from(word & FRAME));
        match (word & FRAME, word & !FRAME) {
            (0, 0) => PageState::Empty,
            (0, PREPARED) => PageState::Prepared,
            (_, STAGED) => PageState::Staged(frame),
            (_, READY) => PageState::Ready(frame),
            _ => PageState::Kernel,
        }
    }

    fn write(state: PageState) -> u32 {
        match state {
            PageState::Empty | PageState::Kernel => 0,
            PageState::Prepared => Invalid::HEAP.bits(),
            PageState::Staged(frame) => word_of(frame) | (Invalid::HEAP | Invalid::STAGED).bits(),
            PageState::Ready(frame) => word_of(frame) | SmallPage::READY.bits(),
        }
    }
}

/// The address of a frame as a word. Frame allocators promise that it has 32 bits.
fn word_of(frame: PhysAddr) -> u32 {
    u32::try_from(frame.value()).unwrap_or(0) & FRAME
}

/// Reads the four first-level words of a slot.
pub(crate) fn read_link(words: [u32; LINKS]) -> Link {
    if words == [0; LINKS] {
        return Link::Empty;
    }
    let table = words[0] & FRAME;
    let serves = |(word, expected): (u32, u32)| {
        word & FIRST_LEVEL_KIND == FIRST_LEVEL && word & FIRST_LEVEL_TABLE == expected
    };
    if words.into_iter().zip(quarters(table)).all(serves) {
        Link::Table {
            frame: PhysAddr::new(u64::from(table)),
            owned: false,
        }
    } else {
        Link::Kernel
    }
}

/// The four first-level words that link the second-level tables in one frame.
pub(crate) fn write_link(table: PhysAddr) -> [u32; LINKS] {
    quarters(word_of(table)).map(|quarter| quarter | FIRST_LEVEL)
}

fn quarters(frame: u32) -> [u32; LINKS] {
    [0, 1, 2, 3].map(|quarter| frame | (quarter * TABLE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: [u64; 3] = [0, 0x4020_0000, 0xffff_f000];

    #[test]
    fn a_state_reads_back_as_it_was_written_and_only_ready_is_valid() {
        for frame in FRAMES.map(PhysAddr::new) {
            for (state, valid) in [
                (PageState::Empty, false),
                (PageState::Prepared, false),
                (PageState::Staged(frame), false),
                (PageState::Ready(frame), true),
            ] {
                let word = Short::write(state);
                assert_eq!(Short::read(word), state);
                assert_eq!(word & 0b11 != 0, valid, "{word:#x}");
            }
        }
    }

    /// Bit by bit, as the manual numbers them.
    #[test]
    fn a_ready_page_is_normal_shareable_memory_of_the_kernel_alone_and_never_executed() {
        let word = Short::write(PageState::Ready(PhysAddr::new(0x4020_0000)));
        let bits = |high: u32, low: u32| word >> low & ((1 << (high - low + 1)) - 1);
        assert_eq!(bits(31, 12), 0x40200);
        assert_eq!(bits(11, 11), 0, "nG: the same in every address space");
        assert_eq!(bits(10, 10), 1, "S");
        assert_eq!(
            bits(9, 9) << 2 | bits(5, 4),
            0b001,
            "AP[2:0]: privileged, read-write"
        );
        assert_eq!(bits(8, 6), 0b001, "TEX");
        assert_eq!(
            bits(3, 2),
            0b11,
            "C, B: write-back, write-allocate with this TEX"
        );
        assert_eq!(bits(1, 1), 1, "a small page");
        assert_eq!(bits(0, 0), 1, "XN");
    }

    #[test]
    fn a_slot_reads_back_as_it_was_written() {
        assert_eq!(read_link([0; 4]), Link::Empty);
        for frame in FRAMES.map(PhysAddr::new) {
            let words = write_link(frame);
            let owned = false;
            assert_eq!(read_link(words), Link::Table { frame, owned });
            assert!(words.iter().all(|word| word & 0b11 == 0b01));
            assert_eq!(words[3] & FIRST_LEVEL_TABLE, words[0] & FRAME | 0xc00);
        }
    }

    #[test]
    fn what_the_kernel_wrote_is_the_kernels() {
        const SECTION: u32 = 0x4000_0c0e;
        let ours = write_link(PhysAddr::new(0x4020_0000));
        for at in 0..4 {
            for word in [SECTION, 0, 0x1000, ours[at] ^ 0x400, ours[at] | 0b10] {
                let mut words = ours;
                words[at] = word;
                assert_eq!(read_link(words), Link::Kernel, "{word:#x} at {at}");
            }
        }
        // In another domain, or not secure: a table of the kernel's, which serves.
        assert_eq!(
            read_link(ours.map(|word| word | 0x28)),
            Link::Table {
                frame: PhysAddr::new(0x4020_0000),
                owned: false
            }
        );
        for word in [
            0x1000,
            0x4020_0002,
            0x4020_0010 | SmallPage::READY.bits() ^ 1,
            1,
        ] {
            assert_eq!(Short::read(word), PageState::Kernel, "{word:#x}");
        }
    }
}
