//! Places: the entries of a CPU's block, found from a layout in one or two loads.

use core::alloc::Layout;

use super::super::class::{CLASSES, ClassTable, SizeClass};
use super::super::record::{NARROW_SLOTS, WIDE_SLOTS};
use super::tag::Tag;

/// Pages of the longest span.
pub(super) const LONGEST: usize = 16;

/// Sizes up to here, aligned to [`FINE_ALIGN`] at most, are looked up by the byte.
const FINE: usize = 1024;
const FINE_ALIGN: usize = 8;
/// Sizes up to here are looked up in the coarse table.
const COARSE: usize = 8192;
/// The alignments of the coarse table: from here to half of [`COARSE`].
const COARSE_ALIGN: usize = 16;
/// Sizes up to here, aligned to [`COARSE_ALIGN`] at most, are looked up in the table of long ones.
const LONG: usize = 32768;

/// Entries of the coarse table.
const COARSE_ENTRIES: usize = 2 * COARSE / COARSE_ALIGN + 1;
/// Entries of the table of long sizes.
const LONG_ENTRIES: usize = (LONG - COARSE) / COARSE_ALIGN;

/// Entries of a block: one for each class that CPUs own spans of, and number 0, which is always
/// dry.
pub(super) const ENTRIES: usize = CLASSES as usize + 1;

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = 64;

/// The place of an entry in a CPU's block, in bytes; 0 for a layout that no CPU's span serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Place(usize);

/// The places of all layouts.
#[derive(Debug)]
pub(crate) struct Places {
    fine: [u16; FINE + 1],
    /// By `(COARSE - 1 + size + align) >> log2(align)`: each alignment has a stretch of its own.
    coarse: [u16; COARSE_ENTRIES],
    /// Numbers of places, by [`COARSE_ALIGN`] bytes above [`COARSE`].
    long: [u8; LONG_ENTRIES],
}

impl Place {
    /// The place of no class.
    pub(crate) const NONE: Self = Self(0);

    /// The place of the entry with this number, of [`ENTRIES`].
    pub(super) const fn numbered(number: u8) -> Self {
        Self(number as usize * ENTRY_BYTES)
    }

    /// The place of a span with this tag.
    pub(crate) const fn of_tag(tag: Tag) -> Self {
        let bytes = tag.place();
        if bytes < ENTRIES * ENTRY_BYTES && bytes % ENTRY_BYTES == 0 {
            Self(bytes)
        } else {
            Self::NONE
        }
    }

    /// The place of a span with this tag, of a CPU.
    ///
    /// # Safety
    /// The tag is one that a block has given a span.
    #[inline(always)]
    pub(crate) const unsafe fn of_owned(tag: Tag) -> Self {
        Self(tag.place())
    }

    /// Whether a span with this tag has this place.
    #[inline(always)]
    pub(crate) const fn is_of(self, tag: Tag) -> bool {
        self.0 == tag.place()
    }

    /// [`bytes`](Self::bytes) as a tag has it.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a block has fewer bytes than a u16 can count"
    )]
    pub(super) const fn in_tag(self) -> u16 {
        self.0 as u16
    }

    /// Bytes from the beginning of a block.
    #[inline(always)]
    pub(super) const fn bytes(self) -> usize {
        self.0
    }

    /// The number of the entry.
    pub(super) const fn number(self) -> usize {
        self.0 / ENTRY_BYTES
    }

    /// The place of `class`, if CPUs own spans of it: those with bits to spare for remote frees.
    pub(crate) const fn of(table: &ClassTable, class: SizeClass) -> Self {
        let has_wide = table.most_slots() > NARROW_SLOTS;
        let most = if has_wide { WIDE_SLOTS } else { NARROW_SLOTS } / 2;
        let number = class.number() as usize + 1;
        if table.slots(class) > most || number >= ENTRIES {
            return Self::NONE;
        }
        // A free by the owner looks up the bit of a slot behind the last, if there is room for one
        // in the span: it must be one that is never set.
        let halves = [NARROW_SLOTS / 2, WIDE_SLOTS / 2];
        let slots = table.slots(class);
        assert!(
            table.pages(class) <= LONGEST,
            "empty spans are kept by their pages"
        );
        assert!(
            table.tail_bytes(class) == 0 || (slots != halves[0] && slots != halves[1]),
            "a span with a bit for every slot has no bytes behind the last"
        );
        Self::numbered(class.number() + 1)
    }

    /// The class of the place.
    pub(crate) const fn class(self, table: &ClassTable) -> Option<SizeClass> {
        match self.number() {
            0 => None,
            number => table.class((number - 1).to_le_bytes()[0]),
        }
    }
}

impl Places {
    /// The places of a table of classes.
    pub(crate) const fn new(table: &ClassTable) -> Self {
        let mut places = Self {
            fine: [0; FINE + 1],
            coarse: [0; COARSE_ENTRIES],
            long: [0; LONG_ENTRIES],
        };
        let mut size = 1;
        while size <= FINE {
            places.fine[size] = place_for(table, size, FINE_ALIGN);
            size += 1;
        }
        let mut align = COARSE_ALIGN;
        while align <= COARSE / 2 && align <= table.page_bytes {
            let mut size = align;
            while size <= COARSE {
                let at = (COARSE - 1 + size + align) >> align.trailing_zeros();
                if at < places.coarse.len() {
                    places.coarse[at] = place_for(table, size, align);
                }
                size += align;
            }
            align *= 2;
        }
        let mut at = 0;
        while at < LONG_ENTRIES {
            let size = COARSE + (at + 1) * COARSE_ALIGN;
            if let Some(class) = table.class_for(size, COARSE_ALIGN) {
                places.long[at] = Place::of(table, class).number().to_le_bytes()[0];
            }
            at += 1;
        }
        places
    }

    /// The place that serves `layout`.
    // One decision after the other, the most frequent first: most layouts pass two.
    #[inline(always)]
    pub(crate) fn place_of(&self, layout: Layout) -> Place {
        let (size, align) = (layout.size(), layout.align());
        if align <= FINE_ALIGN {
            if let Some(place) = self.fine.get(size) {
                return Place(usize::from(*place));
            }
        }
        others();
        if align <= COARSE_ALIGN {
            return self.place_of_coarse(size);
        }
        self.place_of_any(size, align)
    }

    /// The place for `size` bytes aligned to [`COARSE_ALIGN`].
    #[inline(always)]
    fn place_of_coarse(&self, size: usize) -> Place {
        if size > COARSE {
            return self.place_of_long(size);
        }
        let at = (COARSE - 1 + size + COARSE_ALIGN) / COARSE_ALIGN;
        Place(usize::from(self.coarse.get(at).copied().unwrap_or(0)))
    }

    /// The place for `size` bytes, of more than [`COARSE`], aligned to [`COARSE_ALIGN`].
    #[inline(always)]
    fn place_of_long(&self, size: usize) -> Place {
        let at = (size - COARSE - 1) / COARSE_ALIGN;
        Place::numbered(self.long.get(at).copied().unwrap_or(0))
    }

    #[inline(always)]
    fn place_of_any(&self, size: usize, align: usize) -> Place {
        if size > COARSE {
            return Place::NONE;
        }
        let at = (COARSE - 1).wrapping_add(size).wrapping_add(align) >> align.trailing_zeros();
        Place(usize::from(self.coarse.get(at).copied().unwrap_or(0)))
    }
}

/// Marks the way of layouts that are not the most frequent ones.
#[cold]
#[inline(always)]
const fn others() {}

const fn place_for(table: &ClassTable, size: usize, align: usize) -> u16 {
    match table.class_for(size, align) {
        Some(class) => Place::of(table, class).in_tag(),
        None => 0,
    }
}

/// The remote bits of a record begin this many words after the live bits.
#[inline(always)]
pub(crate) const fn remote_words(slots: usize) -> usize {
    let half = if slots > NARROW_SLOTS / 2 {
        WIDE_SLOTS / 2
    } else {
        NARROW_SLOTS / 2
    };
    half / usize::BITS as usize
}
