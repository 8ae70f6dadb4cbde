//! The compile-time shape of an address space.

use crate::{Offset, VirtAddr, VirtRange};

/// The compile-time shape of an address space and of the heap's division of it.
///
/// The crate of each machine has the geometry of its address space; [`small`](Self::small) makes
/// one for a part without an MMU.
///
/// The address space is a line of 2^`address_bits` bytes; position 0 on it is the address `base`,
/// so that two halves of canonical addresses, without the hole between them, make one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// log2 of the bytes of the address space.
    pub address_bits: u32,
    /// The address at offset 0.
    pub base: usize,
    /// log2 of the bytes of a granule, the smallest unit that the MMU maps.
    pub granule_shift: u32,
    /// log2 of the bytes of a page, the heap's unit; at least a granule.
    pub page_shift: u32,
    /// log2 of the bytes of a chunk, the pages of one bitmap; at most 512 pages.
    pub chunk_shift: u32,
    /// log2 of the bytes of an arena; at least a chunk.
    pub arena_shift: u32,
    /// log2 of the entries of the arena index's first level.
    pub index_root_shift: u32,
    /// log2 of the entries of one second-level table of the arena index.
    pub index_table_shift: u32,
}

impl Geometry {
    /// The geometry of a part without an MMU: a space of 2^`address_bits` bytes in pages of
    /// 2^`page_shift`, from 256 B (8) to 1 KiB (10), which are its granules too. Chunks and arenas
    /// have 64 pages; in a space where the index would then be larger than a page, as many as one
    /// page of page map describes. The index's root has one word as long as that is enough: up to
    /// 20, 23 and 26 address bits with pages of 256, 512 and 1024 bytes.
    ///
    /// No address of such a space is 0: the space begins at 2^`address_bits`, unless it is as wide
    /// as a pointer. The machine decides where the memory lies in the space. A firmware whose
    /// RAM lies in a space from some `base` up has its true addresses with
    /// `Geometry { base, ..small }`.
    ///
    /// # Panics
    /// As [`check`](Self::check).
    #[must_use]
    pub const fn small(address_bits: u32, page_shift: u32) -> Self {
        assert!(
            8 <= page_shift && page_shift <= 10,
            "a page of a small geometry has 256 bytes to 1 KiB"
        );
        assert!(
            page_shift < address_bits && address_bits <= usize::BITS,
            "a small space has at least two pages, and no more than a pointer can address"
        );
        let page_bits = address_bits.wrapping_sub(page_shift);
        // Words of a second-level table: at most 256, a page of them at most.
        let table_most = page_shift.wrapping_sub(2);
        let arena_page_bits = if page_bits <= table_most.wrapping_add(6) {
            least(page_bits, 6)
        } else {
            // Four bytes of page map a page.
            page_shift.wrapping_sub(2)
        };
        let arena_shift = page_shift.wrapping_add(arena_page_bits);
        let arena_bits = address_bits.wrapping_sub(arena_shift);
        let index_table_shift = least(arena_bits, table_most);
        let geometry = Self {
            address_bits,
            base: if address_bits == usize::BITS {
                0
            } else {
                1 << address_bits
            },
            granule_shift: page_shift,
            page_shift,
            chunk_shift: arena_shift,
            arena_shift,
            index_root_shift: arena_bits.wrapping_sub(index_table_shift),
            index_table_shift,
        };
        geometry.check();
        geometry
    }

    /// Stops the compilation, or panics, unless the parts of the geometry add up.
    ///
    /// ```compile_fail
    /// use archipelago_api::Geometry;
    ///
    /// // An arena of half a chunk.
    /// const LOPSIDED: Geometry = Geometry { arena_shift: 13, ..Geometry::small(24, 10) };
    /// const _: () = LOPSIDED.check();
    /// ```
    ///
    /// # Panics
    /// With a message that names the rule which the geometry breaks.
    pub const fn check(&self) {
        assert!(
            self.address_bits <= usize::BITS,
            "the address space is wider than a pointer"
        );
        assert!(
            self.granule_shift <= self.page_shift,
            "a page is a multiple of the granule"
        );
        assert!(
            self.page_shift < self.chunk_shift,
            "a chunk has at least two pages"
        );
        assert!(
            self.chunk_shift <= self.arena_shift,
            "an arena has at least one chunk"
        );
        assert!(
            self.arena_shift <= self.address_bits,
            "an arena fits the address space"
        );
        assert!(
            self.chunk_shift.wrapping_sub(self.page_shift) <= 9,
            "a chunk has at most 512 pages"
        );
        assert!(
            self.index_root_shift
                .wrapping_add(self.index_table_shift)
                .wrapping_add(self.arena_shift)
                == self.address_bits,
            "index levels and arena together cover the address space"
        );
        assert!(
            self.base & self.arena_bytes().wrapping_sub(1) == 0,
            "the base of the space is aligned to an arena"
        );
        // An object may be aligned to half of the space, and the heap aligns offsets.
        assert!(
            self.base & (self.last_offset().value() >> 1) == 0,
            "the base of the space is aligned to half of the space"
        );
    }

    /// The highest offset of the space.
    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        Offset::new(usize::MAX >> usize::BITS.wrapping_sub(self.address_bits))
    }

    /// The offset of `addr` on the line of the space, or `None` if the space does not hold `addr`
    /// (because it is not canonical, or beyond the top).
    #[must_use]
    #[inline]
    pub const fn offset(&self, addr: VirtAddr) -> Option<Offset> {
        let offset = addr.value().wrapping_sub(self.base);
        if offset <= self.last_offset().value() {
            Some(Offset::new(offset))
        } else {
            None
        }
    }

    /// The address at `offset`.
    #[must_use]
    #[inline]
    pub const fn address(&self, offset: Offset) -> VirtAddr {
        VirtAddr::new(offset.value().wrapping_add(self.base))
    }

    /// Whether every address of `range` is one of the space, with offsets that rise with the
    /// addresses.
    #[must_use]
    pub const fn contains(&self, range: VirtRange) -> bool {
        let Some(last) = range.last() else {
            return self.offset(range.base()).is_some();
        };
        match (self.offset(range.base()), self.offset(last)) {
            (Some(first), Some(last)) => first.value() <= last.value(),
            _ => false,
        }
    }

    /// Bytes of a granule.
    #[must_use]
    pub const fn granule_bytes(&self) -> usize {
        1 << self.granule_shift
    }

    /// Bytes of a page.
    #[must_use]
    pub const fn page_bytes(&self) -> usize {
        1 << self.page_shift
    }

    /// Bytes of a chunk.
    #[must_use]
    pub const fn chunk_bytes(&self) -> usize {
        1 << self.chunk_shift
    }

    /// Pages of a chunk.
    #[must_use]
    pub const fn chunk_pages(&self) -> usize {
        1 << self.chunk_shift.wrapping_sub(self.page_shift)
    }

    /// Bytes of an arena.
    #[must_use]
    pub const fn arena_bytes(&self) -> usize {
        1 << self.arena_shift
    }

    /// Pages of an arena.
    #[must_use]
    pub const fn arena_pages(&self) -> usize {
        1 << self.arena_shift.wrapping_sub(self.page_shift)
    }

    /// log2 of the pages of the address space.
    #[must_use]
    pub const fn page_number_bits(&self) -> u32 {
        self.address_bits.wrapping_sub(self.page_shift)
    }

    /// log2 of the chunks of the address space.
    #[must_use]
    pub const fn chunk_number_bits(&self) -> u32 {
        self.address_bits.wrapping_sub(self.chunk_shift)
    }
}

const fn least(a: u32, b: u32) -> u32 {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    /// 31 bits from address 0 on, in pages of 4 KiB.
    const PLAIN: Geometry = Geometry {
        address_bits: 31,
        base: 0,
        granule_shift: 12,
        page_shift: 12,
        chunk_shift: 21,
        arena_shift: 22,
        index_root_shift: 0,
        index_table_shift: 9,
    };

    /// The upper and the lower half of `PLAIN`'s addresses, the upper one first and at the top of
    /// the numbers.
    const HALVES: Geometry = Geometry {
        base: 0_usize.wrapping_sub(1 << 30),
        ..PLAIN
    };

    #[test]
    fn two_halves_are_one_line_and_the_hole_is_outside() {
        HALVES.check();
        let at = |value| HALVES.offset(VirtAddr::new(value)).map(Offset::value);
        assert_eq!(at(0_usize.wrapping_sub(1 << 30)), Some(0));
        assert_eq!(at(usize::MAX), Some((1 << 30) - 1));
        assert_eq!(at(0), Some(1 << 30));
        assert_eq!(at((1 << 30) - 1), Some((1 << 31) - 1));
        assert_eq!(at(1 << 30), None);
        assert_eq!(at(0_usize.wrapping_sub(1 << 30) - 1), None);
        let hole = VirtRange::new(VirtAddr::new((1 << 30) - 0x1000), 0x2000);
        assert!(!HALVES.contains(hole.expect("does not wrap")));
    }

    #[test]
    fn a_small_geometry_has_one_root_word_until_its_tables_would_pass_a_page() {
        for page_shift in 8..=10 {
            for address_bits in page_shift + 1..=32 {
                let g = Geometry::small(address_bits, page_shift);
                let tables = g.index_root_shift + g.index_table_shift + g.arena_shift;
                assert_eq!(tables, address_bits);
                assert_eq!(
                    g.index_root_shift == 0,
                    address_bits <= (2 * page_shift + 4).max(3 * page_shift - 4)
                );
                assert!(4 << g.index_table_shift <= g.page_bytes());
                assert!(4 * g.arena_pages() <= g.page_bytes());
                assert_eq!(g.offset(VirtAddr::new(0)).is_some(), g.base == 0);
            }
        }
    }

    /// A change that breaks a rule, and the rule's message.
    type Case = (fn(&mut Geometry), &'static str);

    /// A geometry that adds up but for one thing is stopped with the name of that thing.
    #[test]
    fn each_rule_has_its_message() {
        let broken = |change: fn(&mut Geometry)| {
            let mut geometry = PLAIN;
            change(&mut geometry);
            let stopped = std::panic::catch_unwind(|| geometry.check()).expect_err("it is broken");
            stopped.downcast_ref::<&str>().copied().unwrap_or_default()
        };
        let cases: [Case; 9] = [
            (
                |g| g.address_bits = 65,
                "the address space is wider than a pointer",
            ),
            (
                |g| g.granule_shift = 13,
                "a page is a multiple of the granule",
            ),
            (|g| g.chunk_shift = 12, "a chunk has at least two pages"),
            (|g| g.arena_shift = 20, "an arena has at least one chunk"),
            (|g| g.arena_shift = 32, "an arena fits the address space"),
            (|g| g.chunk_shift = 22, "a chunk has at most 512 pages"),
            (
                |g| g.index_table_shift = 8,
                "index levels and arena together cover the address space",
            ),
            (
                |g| g.base = 0x1000,
                "the base of the space is aligned to an arena",
            ),
            (
                |g| g.base = 1 << 29,
                "the base of the space is aligned to half of the space",
            ),
        ];
        for (change, message) in cases {
            assert_eq!(broken(change), message);
        }
        assert_eq!(
            std::panic::catch_unwind(|| Geometry::small(16, 7))
                .expect_err("no classes")
                .downcast_ref::<&str>(),
            Some(&"a page of a small geometry has 256 bytes to 1 KiB")
        );
    }

    #[test]
    fn the_top_of_a_narrow_space_is_inside_and_the_next_address_is_not() {
        assert!(PLAIN.offset(VirtAddr::new(0x7fff_ffff)).is_some());
        assert!(PLAIN.offset(VirtAddr::new(0x8000_0000)).is_none());
        let wide = Geometry {
            address_bits: 32,
            index_table_shift: 10,
            ..PLAIN
        };
        wide.check();
        assert_eq!(wide.last_offset().value(), 0xffff_ffff);
    }
}
