//! The entries to drop for a range, as the TLB holds them.

use archipelago_api::{VirtAddr, VirtRange};

/// Bytes of a pair of pages, which one TLB entry translates.
pub(crate) const PAIR: usize = 2 << 12;

/// A flush of more pairs than this empties the TLB: a probe for one pair costs as much as emptying
/// an entry, and a TLB has 16 entries on the smallest cores, 64 on the largest.
const SINGLE_PAIRS: usize = 64;

/// The entries to drop for a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Entries of adjacent pairs: the address of the first, and the number of pairs.
    Pairs(VirtAddr, usize),
    /// All entries that are not wired.
    All,
}

impl Flush {
    /// The flush of both halves of every pair that `range` touches.
    pub(crate) fn of(range: VirtRange) -> Self {
        let first = range.base().align_down(PAIR);
        let last = range.last().unwrap_or(range.base()).align_down(PAIR);
        let pairs = last.bytes_above(first).unwrap_or(0) / PAIR + 1;
        if range.is_empty() {
            Self::Pairs(first, 0)
        } else if pairs > SINGLE_PAIRS {
            Self::All
        } else {
            Self::Pairs(first, pairs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flush(base: usize, bytes: usize) -> Flush {
        Flush::of(VirtRange::new(VirtAddr::new(base), bytes).expect("does not wrap"))
    }

    fn pairs(base: usize, count: usize) -> Flush {
        Flush::Pairs(VirtAddr::new(base), count)
    }

    #[test]
    fn a_page_is_forgotten_with_its_neighbour() {
        assert_eq!(flush(0x2000, 0x1000), pairs(0x2000, 1));
        assert_eq!(flush(0x3000, 0x1000), pairs(0x2000, 1));
        assert_eq!(flush(0x3000, 0x2000), pairs(0x2000, 2));
        assert_eq!(flush(0, 0x1000), pairs(0, 1));
        assert_eq!(flush(0x3000, 0), pairs(0x2000, 0));
    }

    #[test]
    fn a_range_may_end_where_the_segment_or_the_space_does() {
        assert_eq!(flush(0x7fff_f000, 0x1000), pairs(0x7fff_e000, 1));
        let top = usize::MAX - 0x2fff;
        assert_eq!(flush(top, 0x3000), pairs(top - 0x1000, 2));
    }

    #[test]
    fn many_pages_empty_the_tlb() {
        let most = SINGLE_PAIRS * PAIR;
        assert_eq!(flush(0x40_0000, most), pairs(0x40_0000, SINGLE_PAIRS));
        assert_eq!(flush(0x40_0000, most + 0x1000), Flush::All);
        assert_eq!(flush(0, 1 << 31), Flush::All);
    }
}
