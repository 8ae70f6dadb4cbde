//! Ranges of virtual addresses that may end at the very top of the address space.

use core::fmt;

use crate::VirtAddr;

/// A range of virtual addresses as base and length, so that one which ends at the top of the
/// address space is no special case. It never wraps.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VirtRange {
    base: VirtAddr,
    /// Invariant: `base + bytes` is at most 2^`usize::BITS`.
    bytes: usize,
}

impl VirtRange {
    /// The range of `bytes` bytes from `base`, or `None` if it would wrap.
    #[must_use]
    pub const fn new(base: VirtAddr, bytes: usize) -> Option<Self> {
        if bytes != 0 && base.checked_add(bytes.wrapping_sub(1)).is_none() {
            return None;
        }
        Some(Self { base, bytes })
    }

    /// The first address.
    #[must_use]
    pub const fn base(self) -> VirtAddr {
        self.base
    }

    /// The length in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bytes
    }

    /// Whether the range holds no address.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bytes == 0
    }

    /// The last address, or `None` if the range is empty.
    #[must_use]
    pub const fn last(self) -> Option<VirtAddr> {
        match self.bytes.checked_sub(1) {
            Some(above) => self.base.checked_add(above),
            None => None,
        }
    }

    /// The first address above the range, or `None` if the range ends at the top of the space.
    #[must_use]
    pub const fn end(self) -> Option<VirtAddr> {
        self.base.checked_add(self.bytes)
    }

    /// Whether `addr` lies in the range.
    #[must_use]
    pub const fn contains(self, addr: VirtAddr) -> bool {
        match addr.bytes_above(self.base) {
            Some(above) => above < self.bytes,
            None => false,
        }
    }

    /// Whether every address of `other` lies in the range; an empty `other` lies in every range.
    #[must_use]
    pub const fn contains_range(self, other: Self) -> bool {
        match other.last() {
            Some(last) => self.contains(other.base) && self.contains(last),
            None => true,
        }
    }

    /// Whether the two ranges share an address.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        if self.is_empty() || other.is_empty() {
            return false;
        }
        self.contains(other.base) || other.contains(self.base)
    }

    /// The first `bytes` bytes and the rest, or `None` if the range is shorter.
    #[must_use]
    pub const fn split_at(self, bytes: usize) -> Option<(Self, Self)> {
        let Some(rest) = self.bytes.checked_sub(bytes) else {
            return None;
        };
        // A rest that starts above the top of the space can only be empty.
        let base = match self.base.checked_add(bytes) {
            Some(base) => base,
            None => self.base,
        };
        Some((
            Self {
                base: self.base,
                bytes,
            },
            Self { base, bytes: rest },
        ))
    }

    /// Whether base and length are multiples of `align`, a power of two.
    #[must_use]
    pub const fn is_aligned(self, align: usize) -> bool {
        self.base.is_aligned(align) && self.bytes & align.wrapping_sub(1) == 0
    }
}

impl fmt::Debug for VirtRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:?} + {:#x})", self.base, self.bytes)
    }
}

impl fmt::Display for VirtRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last() {
            Some(last) => write!(f, "{}..={}", self.base, last),
            None => write!(f, "an empty range at {}", self.base),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(base: usize, bytes: usize) -> VirtRange {
        VirtRange::new(VirtAddr::new(base), bytes).expect("does not wrap")
    }

    #[test]
    fn a_range_may_end_at_the_top_but_not_wrap() {
        let top = range(usize::MAX - 4095, 4096);
        assert_eq!(top.end(), None);
        assert_eq!(top.last(), Some(VirtAddr::new(usize::MAX)));
        assert!(top.contains(VirtAddr::new(usize::MAX)));
        assert!(!top.contains(VirtAddr::new(0)));
        assert_eq!(VirtRange::new(VirtAddr::new(usize::MAX - 4095), 4097), None);
        assert_eq!(
            top.split_at(4096).map(|(a, b)| (a.bytes(), b.bytes())),
            Some((4096, 0))
        );
    }

    #[test]
    fn an_empty_range_holds_and_meets_nothing() {
        let empty = range(0x1000, 0);
        assert!(!empty.contains(VirtAddr::new(0x1000)));
        assert!(!empty.overlaps(range(0, 0x10000)));
        assert!(range(5, 1).contains_range(empty));
        assert_eq!(empty.last(), None);
    }

    #[test]
    fn overlap_is_symmetric_and_touching_is_not_overlap() {
        let (low, high) = (range(0x1000, 0x1000), range(0x2000, 0x1000));
        assert!(!low.overlaps(high) && !high.overlaps(low));
        let middle = range(0x1800, 0x1000);
        assert!(low.overlaps(middle) && middle.overlaps(low) && high.overlaps(middle));
        assert!(range(0, 0x10000).overlaps(middle) && middle.overlaps(range(0, 0x10000)));
    }
}
