//! Addresses: numbers without provenance and without operators.

use core::fmt;

/// A virtual byte address. It carries no provenance; [`Machine::pointer`](crate::Machine::pointer)
/// makes a pointer of it. It has no order either: order is that of [`Offset`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct VirtAddr(usize);

impl VirtAddr {
    /// The address with this number.
    #[must_use]
    pub const fn new(value: usize) -> Self {
        Self(value)
    }

    /// The address as a number.
    #[must_use]
    pub const fn value(self) -> usize {
        self.0
    }

    /// The address `bytes` above, or `None` if that passes the top of the address space.
    #[must_use]
    pub const fn checked_add(self, bytes: usize) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The address `bytes` below, or `None` if that passes address 0.
    #[must_use]
    pub const fn checked_sub(self, bytes: usize) -> Option<Self> {
        match self.0.checked_sub(bytes) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The bytes from `base` up to this address, or `None` if the address lies below.
    #[must_use]
    pub const fn bytes_above(self, base: Self) -> Option<usize> {
        self.0.checked_sub(base.0)
    }

    /// Whether the address is a multiple of `align`, a power of two.
    #[must_use]
    pub const fn is_aligned(self, align: usize) -> bool {
        self.0 & align.wrapping_sub(1) == 0
    }

    /// The highest multiple of `align` (a power of two) that is not above this address.
    #[must_use]
    pub const fn align_down(self, align: usize) -> Self {
        Self(self.0 & !align.wrapping_sub(1))
    }

    /// The lowest multiple of `align` (a power of two) that is not below this address, or `None` if
    /// that passes the top of the address space.
    #[must_use]
    pub const fn align_up(self, align: usize) -> Option<Self> {
        match self.0.checked_add(align.wrapping_sub(1)) {
            Some(value) => Some(Self(value & !align.wrapping_sub(1))),
            None => None,
        }
    }
}

impl fmt::Debug for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v:{:#x}", self.0)
    }
}

impl fmt::Display for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A physical byte address: 64 bits on every machine, since some 32-bit ones reach beyond 4 GiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PhysAddr(u64);

impl PhysAddr {
    /// The address with this number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The address as a number.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The address `bytes` above, or `None` if that passes 2^64.
    #[must_use]
    pub const fn checked_add(self, bytes: u64) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }
}

impl fmt::Debug for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p:{:#x}", self.0)
    }
}

/// A position in the linear address space of a [`Geometry`](crate::Geometry), counted in bytes from
/// its base. Every comparison of addresses is one of offsets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Offset(usize);

impl Offset {
    /// The position `bytes` above the base of the space.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The bytes above the base of the space.
    #[must_use]
    pub const fn value(self) -> usize {
        self.0
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "o:{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_both_ends_of_the_space() {
        let top = VirtAddr::new(usize::MAX);
        assert_eq!(top.checked_add(1), None);
        assert_eq!(VirtAddr::new(0).checked_sub(1), None);
        assert_eq!(top.align_up(4096), None);
        assert_eq!(top.align_down(4096), VirtAddr::new(usize::MAX - 4095));
        assert_eq!(VirtAddr::new(0).align_up(4096), Some(VirtAddr::new(0)));
        assert_eq!(VirtAddr::new(1).align_up(4096), Some(VirtAddr::new(4096)));
        assert!(VirtAddr::new(0).is_aligned(1 << 20));
        assert_eq!(VirtAddr::new(5).bytes_above(VirtAddr::new(6)), None);
    }
}
