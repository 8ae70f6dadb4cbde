//! The tag of a record: the CPU that owns the span, and the span's place in the CPU's block.

/// The two highest bits of the tag of a span that is a CPU's. A record with others says nothing
/// there, or something else.
const OWNED: u32 = 0b10 << 30;
const OWNED_MASK: u32 = 0b11 << 30;
/// Slots of the span were freed by others, and the owner has not taken them back.
const REMOTE: u32 = 1 << 15;
const CPU_SHIFT: u32 = 16;
const PLACE_MASK: u32 = (1 << 15) - 1;

const CPU_MASK: u16 = (1 << 14) - 1;

/// The CPU that owns a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u16);

/// A tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Tag(pub(in super::super) u32);

impl Owner {
    /// CPU number `cpu`, below 2^14.
    pub(crate) const fn new(cpu: u16) -> Self {
        Self(cpu & CPU_MASK)
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

    /// The tag of a span of `owner` whose place is so many bytes into the block.
    #[inline(always)]
    pub(super) const fn new(owner: Owner, place: u16) -> Self {
        Self(OWNED | (owner.0 as u32) << CPU_SHIFT | place as u32)
    }

    /// The CPU that owns the span, if one does.
    #[inline]
    pub(crate) const fn owner(self) -> Option<Owner> {
        if self.0 & OWNED_MASK != OWNED {
            return None;
        }
        let [_, _, low, high] = self.0.to_le_bytes();
        Some(Owner(u16::from_le_bytes([low, high]) & CPU_MASK))
    }

    /// Whether the tag is that of a span of the same owner in the same place.
    #[inline(always)]
    pub(super) const fn is_of_same_owner(self, other: Self) -> bool {
        (self.0 ^ other.0) & !REMOTE == 0
    }

    /// Whether the tag is that of another CPU's span in the same place as a span of a CPU with the
    /// tag `own`.
    #[inline(always)]
    pub(crate) const fn is_of_another(self, own: Self) -> bool {
        let difference = self.0 ^ own.0;
        difference & (OWNED_MASK | PLACE_MASK) == 0 && difference & !REMOTE != 0
    }

    /// The bytes from the beginning of the owner's block to the span's place.
    pub(super) const fn place(self) -> usize {
        (self.0 & PLACE_MASK) as usize
    }
}
