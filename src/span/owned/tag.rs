//! The tag of a record: the CPU that owns the span, and the span's place in the CPU's block.

use super::places::Place;

/// The span is a CPU's. Of a record without this bit the tag says nothing.
const OWNED: u32 = 1 << 31;
/// Slots of the span were freed by others, and the owner has not taken them back.
const REMOTE: u32 = 1 << 15;
const CPU_SHIFT: u32 = 16;
const PLACE_MASK: u32 = (1 << 15) - 1;

/// CPUs that can own spans.
pub(crate) const MOST_CPUS: usize = 1 << 15;

/// The CPU that owns a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u16);

/// A tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(in super::super) u32);

impl Owner {
    /// CPU number `cpu`, below [`MOST_CPUS`].
    pub(crate) const fn new(cpu: usize) -> Self {
        debug_assert!(cpu < MOST_CPUS, "the number fits a tag");
        Self((cpu % MOST_CPUS) as u16)
    }

    /// The number of the CPU.
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }
}

impl Tag {
    /// The tag of a span that no CPU owns.
    pub(crate) const NONE: Self = Self(0);
    /// The bit that says that others have freed slots.
    pub(super) const REMOTE: u32 = REMOTE;

    /// The tag of a span of `owner` in `place`.
    #[inline(always)]
    pub(crate) const fn new(owner: Owner, place: Place) -> Self {
        Self(OWNED | (owner.0 as u32) << CPU_SHIFT | place.number() as u32)
    }

    /// The CPU that owns the span, if one does.
    #[inline]
    pub(crate) const fn owner(self) -> Option<Owner> {
        if self.0 & OWNED == 0 {
            return None;
        }
        Some(Owner((self.0 >> CPU_SHIFT) as u16 & (MOST_CPUS - 1) as u16))
    }

    /// The span's place in its owner's block.
    pub(crate) const fn place(self) -> Place {
        Place::numbered((self.0 & PLACE_MASK) as u8)
    }
}
