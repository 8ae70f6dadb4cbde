//! Descriptions: what one object is made of.

use super::format::{UNIT_WORDS, min};
use super::map::PointerMap;
use super::masks::Masks;
use super::scannable::Scannable;

/// What the words of one object are: a header, and a tail of elements. Either can be missing.
///
/// ```
/// use archipelago::bits::{Description, Scannable, PointerMap};
///
/// const NODE: PointerMap<'_> = PointerMap::from_mask(3, 0b101);
/// assert_eq!(Description::one(&NODE).words(), 3);
/// assert_eq!(Description::array(&NODE, 1000).words(), 3000);
/// // A length, then a hundred nodes.
/// const LENGTH: PointerMap<'_> = PointerMap::from_mask(1, 0);
/// assert_eq!(Description::header_and_tail(&LENGTH, &NODE, 100).words(), 301);
/// // By their types: a node and what it is called, and pointers alone.
/// let name = Description::header_and_tail(&<(&u8, usize)>::MAP, &u8::MAP, 100);
/// assert_eq!((name.words(), name.described()), (2, 1));
/// assert_eq!(Description::slice_of::<&u8>(100).described(), 100);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    header: &'a PointerMap<'a>,
    element: &'a PointerMap<'a>,
    count: usize,
    words: usize,
    described: usize,
    /// Those of the object, if it is one value and short.
    masks: Masks,
}

const NOTHING: &PointerMap<'_> = &PointerMap::none(0);

impl<'a> Description<'a> {
    /// No pointers at all.
    pub const NOTHING: Description<'static> = Description::one(NOTHING);

    /// One value.
    #[must_use]
    pub const fn one(map: &'a PointerMap<'a>) -> Self {
        Self::header_and_tail(map, NOTHING, 0)
    }

    /// `count` values side by side.
    #[must_use]
    pub const fn array(element: &'a PointerMap<'a>, count: usize) -> Self {
        if count == 1 {
            return Self::one(element);
        }
        Self::header_and_tail(NOTHING, element, count)
    }

    /// One value of a type.
    #[must_use]
    pub const fn of<T: Scannable>() -> Self {
        Self::one(const { &T::MAP })
    }

    /// `count` values of a type side by side.
    #[must_use]
    pub const fn slice_of<T: Scannable>(count: usize) -> Self {
        Self::array(const { &T::MAP }, count)
    }

    /// One value, and from the first word behind it `count` values of another type. A tail without
    /// pointers is not described, so that its elements need not be whole words.
    #[must_use]
    pub const fn header_and_tail(
        header: &'a PointerMap<'a>,
        element: &'a PointerMap<'a>,
        count: usize,
    ) -> Self {
        let count = if element.described() == 0 { 0 } else { count };
        let tail = element.words().saturating_mul(count);
        let words = header.words().saturating_add(tail);
        let described = if count == 0 {
            header.described()
        } else {
            words - (element.words() - element.described())
        };
        Self {
            header,
            element,
            count,
            words,
            described,
            masks: if count == 0 {
                header.masks()
            } else {
                Masks::NONE
            },
        }
    }

    /// Words of the object that are described, but for a tail without pointers; `usize::MAX` if that
    /// cannot be counted. How much memory the object needs, its layout says.
    #[inline]
    #[must_use]
    pub const fn words(&self) -> usize {
        self.words
    }

    /// Words of the object up to its last pointer, which is the last of them; 0 for none.
    #[inline]
    #[must_use]
    pub const fn described(&self) -> usize {
        self.described
    }

    /// Both bits of the words of an object that is one value of up to 64 words.
    #[inline(always)]
    pub(crate) const fn masks(&self) -> &Masks {
        &self.masks
    }

    /// The map of an object that is one value.
    #[inline]
    pub(super) const fn value(&self) -> Option<&'a PointerMap<'a>> {
        if self.count == 0 {
            Some(self.header)
        } else {
            None
        }
    }

    /// The pointer bits of `count` words from word `from`, at most [`UNIT_WORDS`] of them; zero for
    /// words behind the object.
    #[inline]
    pub(super) fn bits(&self, from: usize, count: usize) -> usize {
        debug_assert!(count <= UNIT_WORDS, "a unit's words at most");
        let header = self.header.bits(from, count);
        if self.count == 0 {
            return header;
        }
        let head = self.header.words();
        let skip = head.saturating_sub(from);
        let (into, end) = (from.saturating_sub(head), self.words);
        if skip >= count || from >= end {
            return header;
        }
        let rest = min(count, end - from) - skip;
        header | self.element.repeated(into, rest) << skip
    }
}
