//! Descriptions: the words of one object, as a header and a tail of elements.

use super::format::{UNIT_WORDS, min};
use super::map::PointerMap;
use super::masks::Masks;
use super::scannable::Scannable;

/// A description of the words of one object: a header, and a tail of elements. Either can be
/// missing.
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
/// // By their types: a reference and a length, then a hundred bytes; and a hundred references.
/// let name = Description::header_and_tail(&<(&u8, usize)>::MAP, &u8::MAP, 100);
/// assert_eq!((name.words(), name.described()), (2, 1));
/// assert_eq!(Description::slice_of::<&u8>(100).described(), 100);
/// assert_eq!(Description::none().described(), 0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    header: &'a PointerMap<'a>,
    element: &'a PointerMap<'a>,
    count: usize,
    words: usize,
    described: usize,
    /// The masks of an object that is one value of up to 64 described words; else
    /// [`Masks::NONE`].
    masks: Masks,
}

const NOTHING: &PointerMap<'_> = &PointerMap::none(0);

impl<'a> Description<'a> {
    /// The description of an object without pointers, of any length.
    #[must_use]
    pub const fn none() -> Description<'static> {
        Description::one(NOTHING)
    }

    /// The description of one value.
    #[must_use]
    pub const fn one(map: &'a PointerMap<'a>) -> Self {
        Self::header_and_tail(map, NOTHING, 0)
    }

    /// The description of `count` values side by side.
    #[must_use]
    pub const fn array(element: &'a PointerMap<'a>, count: usize) -> Self {
        if count == 1 {
            return Self::one(element);
        }
        Self::header_and_tail(NOTHING, element, count)
    }

    /// The description of one value of a type.
    #[must_use]
    pub const fn of<T: Scannable>() -> Self {
        Self::one(const { &T::MAP })
    }

    /// The description of `count` values of a type side by side.
    #[must_use]
    pub const fn slice_of<T: Scannable>(count: usize) -> Self {
        Self::array(const { &T::MAP }, count)
    }

    /// The description of one value that is followed, from the next whole word on, by `count`
    /// values of another type. A tail without pointers is not described, so that its elements need
    /// not be whole words.
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

    /// Words of the object without a tail that has no pointers; `usize::MAX` if their number is no
    /// `usize`. The layout of the object, not this number, says how much memory it needs.
    #[inline]
    #[must_use]
    pub const fn words(&self) -> usize {
        self.words
    }

    /// Words of the object up to and including its last pointer; 0 if there is none.
    #[inline]
    #[must_use]
    pub const fn described(&self) -> usize {
        self.described
    }

    /// The masks of an object that is one value of up to 64 described words.
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
    /// words after the object.
    #[inline]
    pub(super) fn bits(&self, from: usize, count: usize) -> usize {
        debug_assert!(count <= UNIT_WORDS, "no more words than a unit has");
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
