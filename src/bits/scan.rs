//! Reads the bitmap: the words of one object that hold pointers.

use core::fmt;
use core::ops::Range;

use archipelago_api::VirtAddr;

use super::cursor::HeapBits;
use super::format::{self, UNIT_WORDS, low};
use super::tables::Tables;

/// The words of an object that hold pointers, lowest first, as bytes from the start of the object.
///
/// The iterator ends at the first dead word. Each unit is loaded once, so that writes to the bits
/// of neighbours do not disturb it. Words without bits hold no pointers.
pub struct PointerWords<'a, T> {
    /// The cursor at the word `next`.
    cursor: HeapBits<'a, T>,
    /// The first word of the object that was not read yet.
    next: usize,
    /// The word where reading ends.
    end: usize,
    /// A bit for each word of the last unit that holds a pointer and was not yielded yet; bit 0 is
    /// word `first` of the object.
    found: usize,
    first: usize,
}

impl<'a, T: Tables> PointerWords<'a, T> {
    /// The pointer words of an object of `bytes` bytes, or `None` if it does not begin in the
    /// address space.
    #[inline]
    #[must_use]
    pub fn of(tables: &'a T, object: VirtAddr, bytes: usize) -> Option<Self> {
        Self::within(tables, object, 0..bytes)
    }

    /// The pointer words in a part of the object, given as bytes from its start, that begins and
    /// ends at words: a long object can be read in pieces. A part that begins after the last
    /// pointer is empty.
    #[inline]
    #[must_use]
    pub fn within(tables: &'a T, object: VirtAddr, part: Range<usize>) -> Option<Self> {
        let next = part.start / T::WORD_BYTES;
        let cursor = HeapBits::at(tables, object)?.forward(next);
        Some(Self {
            next,
            ..Self::from_cursor(cursor, part.end)
        })
    }

    /// The pointer words of an object of `bytes` bytes that begins at the cursor's word. A walk
    /// from object to object saves the lookup of each.
    #[inline]
    #[must_use]
    pub fn from_cursor(cursor: HeapBits<'a, T>, bytes: usize) -> Self {
        Self {
            cursor,
            next: 0,
            end: bytes / T::WORD_BYTES,
            found: 0,
            first: 0,
        }
    }

    /// Reads the next unit, if there is one and the object is not dead from here on.
    #[inline]
    fn read(&mut self) -> bool {
        if self.next >= self.end {
            return false;
        }
        let Some(unit) = self.cursor.unit() else {
            return false;
        };
        let shift = self.cursor.shift();
        let count = (UNIT_WORDS - shift).min(self.end - self.next);
        let mut scan = format::scans(unit) >> shift;
        if self.next <= 1 && self.next + count > 1 {
            // The special bit says nothing.
            scan |= 1 << (1 - self.next);
        }
        let live = count.min(scan.trailing_ones() as usize);
        self.found = format::pointers(unit) >> shift & low(live);
        self.first = self.next;
        self.next = if live < count {
            self.end
        } else {
            self.next + count
        };
        if self.next < self.end {
            self.cursor = self.cursor.forward(count);
        }
        true
    }
}

impl<T: Tables> Iterator for PointerWords<'_, T> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            if !self.read() {
                return None;
            }
        }
        let word = self.first + self.found.trailing_zeros() as usize;
        self.found &= self.found - 1;
        Some(word * T::WORD_BYTES)
    }
}

impl<T: Tables> fmt::Debug for PointerWords<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PointerWords")
            .field("next", &self.next)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
