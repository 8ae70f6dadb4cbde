//! Size classes: which slot an object gets, by size and alignment, and which slot an address is in.
//!
//! There is one table for each page size, chosen and written by `cargo xtask classes`. Spans start
//! at a page, and slots lie at the multiples of the class size, so a class whose size is a multiple
//! of an alignment serves it.

mod span_class;

use core::fmt;

pub(crate) use span_class::{SPAN_CLASSES, Scan, SpanClass};

/// Size classes at most, for any page size.
pub(crate) const CLASSES: u8 = 80;

/// A size class: the number of a row in the [`ClassTable`] of the heap's page size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SizeClass(u8);

impl SizeClass {
    /// The class with this row number, which a span record held.
    #[inline(always)]
    pub(super) const fn numbered(number: u8) -> Self {
        Self(number)
    }

    /// The row's number, which a span record holds.
    pub(crate) const fn number(self) -> u8 {
        self.0
    }

    const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for SizeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "class {}", self.0)
    }
}

/// Sizes up to here are looked up by [`FINE`] bytes, those above by [`COARSE`].
pub(super) const FINE_LIMIT: usize = 1024;
const FINE: usize = 8;
const COARSE: usize = 128;

/// The size classes of heaps with one page size, in ascending order.
#[derive(Debug)]
pub(crate) struct ClassTable {
    pub(super) page_bytes: usize,
    /// The largest size that has a class, itself one. A power of two, at least eight pages.
    pub(super) largest: usize,
    /// Bytes of a slot.
    pub(super) sizes: &'static [u32],
    /// Pages of a span.
    pub(super) pages: &'static [u8],
    /// Slots of a span.
    pub(super) slots: &'static [u16],
    /// `2^32` divided by the size, rounded up.
    pub(super) magic: &'static [u32],
    /// The class of each multiple of [`FINE`] up to [`FINE_LIMIT`].
    pub(super) fine: &'static [u8],
    /// The class of the smallest size of each [`COARSE`] bytes above [`FINE_LIMIT`]; the others are
    /// in it or in one of the next two.
    pub(super) coarse: &'static [u8],
}

impl ClassTable {
    /// Number of classes.
    pub(crate) const fn len(&self) -> usize {
        self.sizes.len()
    }

    /// The class of that number, if there is one.
    pub(crate) const fn class(&self, number: u8) -> Option<SizeClass> {
        if (number as usize) < self.sizes.len() {
            Some(SizeClass(number))
        } else {
            None
        }
    }

    /// The smallest class that fits `size` bytes and whose size is a multiple of `align`, a power
    /// of two. `None` means that the object is a large one: it is too large for any class, or
    /// aligned to more than a page.
    // The first lines serve most requests; in line they are a handful of instructions.
    #[inline(always)]
    pub(crate) const fn class_for(&self, size: usize, align: usize) -> Option<SizeClass> {
        if size <= FINE_LIMIT && align <= FINE {
            // All sizes are multiples of that alignment.
            return Some(SizeClass(self.fine[size.div_ceil(FINE)]));
        }
        self.class_for_any(size, align)
    }

    /// Whether there is a class for `size` bytes aligned to `align`.
    #[inline]
    pub(crate) const fn serves(&self, size: usize, align: usize) -> bool {
        size <= self.largest && align <= self.page_bytes
    }

    /// [`class_for`](Self::class_for) for any size and alignment.
    #[inline(never)]
    pub(crate) const fn class_for_any(&self, size: usize, align: usize) -> Option<SizeClass> {
        if !self.serves(size, align) {
            return None;
        }
        // Neither overflows nor passes `largest`, which is a multiple of every alignment up to a
        // page.
        let size = (size + (align - 1)) & !(align - 1);
        let mut class = self.fitting(size);
        while (self.sizes[class.index()] as usize) & (align - 1) != 0 {
            // The last class is a multiple of every alignment, so there is a next one.
            class = SizeClass(class.0 + 1);
        }
        Some(class)
    }

    /// The smallest class that fits `size` bytes, at most `largest`.
    #[inline]
    const fn fitting(&self, size: usize) -> SizeClass {
        if size <= FINE_LIMIT {
            return SizeClass(self.fine[size.div_ceil(FINE)]);
        }
        let mut class = self.coarse[(size - FINE_LIMIT - 1) / COARSE];
        // Ends at the last class at the latest, whose size is `largest`.
        while (self.sizes[class as usize] as usize) < size {
            class += 1;
        }
        SizeClass(class)
    }

    /// Bytes of a slot.
    #[inline]
    pub(crate) const fn size(&self, class: SizeClass) -> usize {
        self.sizes[class.index()] as usize
    }

    /// Bytes of a slot, as the table has them.
    pub(super) const fn size_of_slot(&self, class: SizeClass) -> u32 {
        self.sizes[class.index()]
    }

    /// `2^32` divided by the size, rounded up.
    pub(super) const fn magic_of(&self, class: SizeClass) -> u32 {
        self.magic[class.index()]
    }

    /// Slots of a span, as the table has them.
    pub(super) const fn slots_of(&self, class: SizeClass) -> u16 {
        self.slots[class.index()]
    }

    /// Pages of a span.
    #[inline]
    pub(crate) const fn pages(&self, class: SizeClass) -> usize {
        self.pages[class.index()] as usize
    }

    /// Slots of a span.
    #[inline]
    pub(crate) const fn slots(&self, class: SizeClass) -> usize {
        self.slots[class.index()] as usize
    }

    /// Bytes of a span that belong to no slot.
    pub(crate) const fn tail_bytes(&self, class: SizeClass) -> usize {
        self.pages(class) * self.page_bytes - self.slots(class) * self.size(class)
    }

    /// Slots of the span with the most of them.
    pub(crate) const fn most_slots(&self) -> usize {
        let (mut most, mut class) = (0, 0);
        while class < self.slots.len() {
            if self.slots[class] as usize > most {
                most = self.slots[class] as usize;
            }
            class += 1;
        }
        most
    }

    /// The slot that the byte at `offset` of a span of `class` is in: `offset` divided by the size,
    /// for every offset inside the span. Bytes of the span's tail are in the slot after the last.
    #[inline]
    pub(crate) fn slot_at(&self, class: SizeClass, offset: usize) -> usize {
        // Exact for every offset of every span: a test tries them all.
        let product = (offset as u64).wrapping_mul(u64::from(self.magic[class.index()]));
        usize::try_from(product >> 32).unwrap_or(usize::MAX)
    }

    /// [`slot_at`](Self::slot_at) by division, without the numbers to multiply by: for parts where
    /// room for constants is scarcer than time.
    #[inline]
    pub(crate) const fn slot_by_division(&self, class: SizeClass, offset: usize) -> usize {
        match offset.checked_div(self.size(class)) {
            Some(slot) => slot,
            // No class has slots without bytes.
            None => usize::MAX,
        }
    }
}

#[cfg(test)]
mod tests;
