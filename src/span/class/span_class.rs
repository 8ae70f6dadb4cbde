//! Span classes: a size class, and whether the objects may hold pointers.

use super::{CLASSES, SizeClass};

/// Span classes at most, those of scannable spans after those of the others.
pub(crate) const SPAN_CLASSES: usize = if cfg!(feature = "heap-bits") {
    2 * CLASSES as usize
} else {
    CLASSES as usize
};

/// Whether objects may hold pointers, so that the heap bitmap describes them. Without a heap bitmap
/// they never do, and the value takes no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan(#[cfg(feature = "heap-bits")] bool);

impl Scan {
    /// The objects hold no pointers that are described.
    pub(crate) const NO: Self = Self::when(false);

    /// The objects may hold pointers.
    #[cfg(feature = "heap-bits")]
    pub(crate) const YES: Self = Self::when(true);

    /// [`YES`](Self::YES) if the objects are `scannable` and there is a heap bitmap.
    #[inline(always)]
    pub(crate) const fn when(scannable: bool) -> Self {
        #[cfg(not(feature = "heap-bits"))]
        let _ = scannable;
        Self(
            #[cfg(feature = "heap-bits")]
            scannable,
        )
    }

    /// Orders the change of a record after everything before it, if there are lookups of objects
    /// that take no lock.
    #[inline(always)]
    pub(crate) fn before_change() {
        #[cfg(feature = "heap-bits")]
        core::sync::atomic::fence(core::sync::atomic::Ordering::Release);
    }

    /// Whether the objects may hold pointers.
    #[inline(always)]
    pub(crate) const fn is_yes(self) -> bool {
        #[cfg(feature = "heap-bits")]
        return self.0;
        #[cfg(not(feature = "heap-bits"))]
        false
    }
}

/// A span class: the size class of a span's objects, and whether they may hold pointers. Its number
/// is that of its central list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanClass {
    class: SizeClass,
    scan: Scan,
}

impl SpanClass {
    /// Objects of `class`, which may hold pointers or not.
    #[inline(always)]
    pub(crate) const fn new(class: SizeClass, scan: Scan) -> Self {
        Self { class, scan }
    }

    /// Objects of `class`, which hold no pointers.
    #[inline(always)]
    pub(crate) const fn noscan(class: SizeClass) -> Self {
        Self::new(class, Scan::NO)
    }

    /// The number of the class. Scannable classes come after the others.
    #[inline(always)]
    pub(crate) const fn number(self) -> usize {
        if self.scan.is_yes() {
            self.class.index() + CLASSES as usize
        } else {
            self.class.index()
        }
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
