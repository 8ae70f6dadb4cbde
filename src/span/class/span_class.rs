//! Span classes: a size class, and whether the objects may hold pointers.

use super::{CLASSES, SizeClass};

/// Span classes at most, those of scannable spans after those of the others.
pub(crate) const SPAN_CLASSES: usize = if cfg!(feature = "heap-bits") {
    2 * CLASSES as usize
} else {
    CLASSES as usize
};

/// Whether objects may hold pointers, so that the heap bitmap describes them. Without a heap bitmap
/// there is one value, which takes no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan(#[cfg(feature = "heap-bits")] bool);

impl Scan {
    /// The objects hold no pointers, or the bitmap does not describe them.
    pub(crate) const NO: Self = Self(
        #[cfg(feature = "heap-bits")]
        false,
    );

    /// The objects may hold pointers.
    #[cfg(feature = "heap-bits")]
    pub(crate) const YES: Self = Self(true);

    /// Whether the objects may hold pointers.
    #[cfg(feature = "heap-bits")]
    #[inline(always)]
    pub(crate) const fn is_yes(self) -> bool {
        self.0
    }
}

/// A span class: the size class of all objects of a span, and whether they may hold pointers. Its
/// number is that of its central list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanClass {
    class: SizeClass,
    scan: Scan,
}

impl SpanClass {
    /// Objects of `class`, which hold no pointers.
    #[inline(always)]
    pub(crate) const fn noscan(class: SizeClass) -> Self {
        Self {
            class,
            scan: Scan::NO,
        }
    }

    /// Objects of `class`, which may hold pointers.
    #[cfg(feature = "heap-bits")]
    #[inline(always)]
    pub(crate) const fn scannable(class: SizeClass) -> Self {
        Self {
            class,
            scan: Scan::YES,
        }
    }

    /// Objects of the size class with this number, which may hold pointers.
    #[cfg(feature = "heap-bits")]
    #[inline(always)]
    pub(crate) const fn numbered(class: u8) -> Self {
        Self::scannable(SizeClass(class))
    }

    /// The number of the class. Scannable classes come after the others.
    #[inline(always)]
    pub(crate) const fn number(self) -> usize {
        #[cfg(feature = "heap-bits")]
        if self.scan.is_yes() {
            return self.class.index() + CLASSES as usize;
        }
        self.class.index()
    }

    /// The size class.
    #[inline(always)]
    pub(crate) const fn size_class(self) -> SizeClass {
        self.class
    }

    /// Whether the objects may hold pointers.
    #[inline(always)]
    pub(crate) const fn scan(self) -> Scan {
        self.scan
    }
}
