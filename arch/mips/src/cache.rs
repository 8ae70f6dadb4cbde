//! Data caches that see one memory at two places.
//!
//! Such a cache finds its lines by bits of the virtual address above those of a page: one way holds
//! more than a page. kseg0 and a window, or two windows, then have lines of their own for one
//! frame, and the one that is written back later wins. So the lines of a frame are written back and
//! invalidated whenever the frame changes its place.
//!
//! # Source
//! MIPS32 Architecture For Programmers, volume II (MD00086), "CACHE", and volume III (MD00090),
//! "Config1"; MIPS32 24K Software User's Manual (MD00343), "Config7".

/// Bytes of a page, the most that one way holds without aliases.
const PAGE: usize = 1 << 12;

/// The shape of a data cache that has aliases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aliasing {
    /// Bytes of a line.
    pub(crate) line: usize,
    /// Bytes of all ways.
    pub(crate) bytes: usize,
}

impl Aliasing {
    /// The data cache that Config1 describes, unless it has no aliases. `config_7` reads Config7,
    /// which says whether hardware removes aliases (AR).
    pub(crate) fn of(config_1: usize, config_7: impl FnOnce() -> usize) -> Option<Self> {
        const ALIASES_REMOVED: usize = 1 << 16;
        let field = |low: u32| config_1 >> low & 7;
        // DL, DS, DA.
        let (line, sets, ways) = (field(10), field(13), field(7) + 1);
        if line == 0 {
            return None;
        }
        let line = 2 << line;
        // 64 << DS, and 32 sets for the value 7.
        let sets = if sets == 7 { 32 } else { 64 << sets };
        let aliases = sets * line > PAGE && config_7() & ALIASES_REMOVED == 0;
        aliases.then_some(Self {
            line,
            bytes: sets * line * ways,
        })
    }
}

#[cfg(any(target_arch = "mips", doc))]
mod hardware {
    use core::arch::asm;

    use super::{Aliasing, PAGE};
    use crate::cp0::read;

    /// The address at which kseg0 maps physical address 0.
    const KSEG0: usize = 0x8000_0000;

    impl Aliasing {
        /// The data cache of this CPU, if it has aliases.
        fn here() -> Option<Self> {
            Self::of(read!(16, 1), || read!(16, 7))
        }
    }

    /// Writes back and invalidates the lines of the page at `address`, which kseg0 maps, where
    /// caches have aliases.
    pub(crate) fn write_back_page(address: usize) {
        let Some(Aliasing { line, .. }) = Aliasing::here() else {
            return;
        };
        for offset in (0..PAGE).step_by(line) {
            // Hit_Writeback_Inv_D.
            // SAFETY: writing a line back changes no memory as the CPU sees it, and kseg0 is always
            // mapped.
            unsafe {
                asm!(".set noat", "cache 0x15, 0({})", in(reg) address + offset, options(nostack));
            }
        }
        sync();
    }

    /// Writes back and invalidates all lines of this CPU's data cache, where it has aliases.
    pub(crate) fn write_back_all() {
        let Some(Aliasing { line, bytes }) = Aliasing::here() else {
            return;
        };
        for index in (0..bytes).step_by(line) {
            // Index_Writeback_Inv_D: the bits above those of a way choose the way.
            // SAFETY: writing a line back changes no memory as the CPU sees it.
            unsafe {
                asm!(".set noat", "cache 0x01, 0({})", in(reg) KSEG0 + index, options(nostack));
            }
        }
        sync();
    }

    /// Waits until lines are written.
    fn sync() {
        // SAFETY: a barrier orders accesses and changes no memory.
        unsafe { asm!("sync", options(nostack, preserves_flags)) };
    }
}
#[cfg(any(target_arch = "mips", doc))]
pub(crate) use hardware::{write_back_all, write_back_page};

#[cfg(test)]
mod tests {
    use super::*;

    fn config_1(sets: usize, line: usize, ways: usize) -> usize {
        sets << 13 | line << 10 | ways << 7
    }

    #[test]
    fn a_way_of_more_than_a_page_has_aliases() {
        // A 24K with 32 KiB in four ways, lines of 32 bytes: two pages in a way.
        let large = config_1(2, 4, 3);
        let shape = Aliasing {
            line: 32,
            bytes: 32 << 10,
        };
        assert_eq!(Aliasing::of(large, || 0), Some(shape));
        assert_eq!(Aliasing::of(large, || 1 << 16), None, "removed by hardware");
        // 16 KiB: one page in a way.
        let small = config_1(1, 4, 3);
        assert_eq!(Aliasing::of(small, || panic!("need not be read")), None);
    }

    #[test]
    fn no_cache_and_the_smallest_one_have_none() {
        assert_eq!(Aliasing::of(config_1(2, 0, 3), || 0), None);
        assert_eq!(Aliasing::of(config_1(7, 6, 0), || 0), None);
    }
}
