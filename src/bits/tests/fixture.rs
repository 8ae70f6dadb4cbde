//! Tables of a heap bitmap in one vector: side by side or apart, and with holes.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use archipelago_api::{Geometry, Offset, VirtAddr};

use crate::bits::{Tables, UNIT_WORDS};
use crate::testing::TestGeometry;

/// A space of four arenas of 16 KiB, up to the last address there is.
#[derive(Debug)]
pub(super) struct Top;

impl TestGeometry for Top {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 16,
        base: usize::MAX - 0xffff,
        granule_shift: 8,
        page_shift: 8,
        chunk_shift: 12,
        arena_shift: 14,
        index_root_shift: 0,
        index_table_shift: 2,
    };
}

/// A space of 64 arenas of 1 MiB, or under Miri of four of 16 KiB, from address 0.
#[derive(Debug)]
pub(super) struct Wide;

impl TestGeometry for Wide {
    const GEOMETRY: Geometry = {
        let (arenas, arena) = if cfg!(miri) { (2, 14) } else { (6, 20) };
        Geometry {
            address_bits: arenas + arena,
            base: 0,
            granule_shift: 12,
            page_shift: 12,
            chunk_shift: arena,
            arena_shift: arena,
            index_root_shift: 0,
            index_table_shift: arenas,
        }
    };
}

/// How the tables of a tables placement in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// The table of an arena begins where that of the arena below ends, and is read on into.
    Adjacent,
    /// The tables placement in the opposite order.
    Apart,
}

/// The tables of a space whose words have `W` bytes.
#[derive(Debug)]
pub(super) struct TestTables<G, const W: usize> {
    units: Vec<AtomicUsize>,
    placement: Placement,
    /// Units that are not Ready, counted from the bottom of the space.
    absent: Range<usize>,
    geometry: PhantomData<fn() -> G>,
}

/// Tables of the space at the top, with words of 8 bytes.
pub(super) type Top8 = TestTables<Top, 8>;

impl<G: TestGeometry, const W: usize> TestTables<G, W> {
    /// Units of an arena.
    pub(super) const ARENA_UNITS: usize = G::GEOMETRY.arena_bytes() / W / UNIT_WORDS;
    /// Words of an arena.
    pub(super) const ARENA_WORDS: usize = Self::ARENA_UNITS * UNIT_WORDS;
    /// Words of the space.
    pub(super) const WORDS: usize = Self::ARENAS * Self::ARENA_WORDS;
    const ARENAS: usize = 1 << (G::GEOMETRY.address_bits - G::GEOMETRY.arena_shift);

    /// Tables that are all Ready and all zero.
    pub(super) fn new(placement: Placement) -> Self {
        let units = (0..Self::ARENAS * Self::ARENA_UNITS).map(|_| AtomicUsize::new(0));
        Self {
            units: units.collect(),
            placement,
            absent: 0..0,
            geometry: PhantomData,
        }
    }

    /// Makes some units not Ready, counted from the bottom of the space.
    pub(super) fn without(self, absent: Range<usize>) -> Self {
        Self { absent, ..self }
    }

    /// The address of a word, counted from the bottom of the space.
    pub(super) fn address(word: usize) -> VirtAddr {
        G::GEOMETRY.address(Offset::new(word * W))
    }

    /// Puts something into every unit.
    pub(super) fn fill(&self, mut unit: impl FnMut() -> usize) {
        for place in &self.units {
            place.store(unit(), Relaxed);
        }
    }

    /// A unit, counted from the bottom of the space.
    pub(super) fn unit(&self, number: usize) -> &AtomicUsize {
        &self.units[self.place(number)]
    }

    /// Puts something into the units of these words, counted from the bottom of the space.
    pub(super) fn fill_words(&self, words: Range<usize>, mut unit: impl FnMut() -> usize) {
        for number in words.start / UNIT_WORDS..words.end.div_ceil(UNIT_WORDS) {
            self.unit(number).store(unit(), Relaxed);
        }
    }

    /// The bits of a word, counted from the bottom of the space: found without the code under test.
    pub(super) fn bits(&self, word: usize) -> (bool, bool) {
        let unit = self.unit(word / UNIT_WORDS).load(Relaxed);
        let half = usize::BITS / 2;
        let bit = 1 << (word % UNIT_WORDS);
        ((unit & bit) != 0, (unit >> half & bit) != 0)
    }

    /// Where a unit lies in the vector.
    fn place(&self, unit: usize) -> usize {
        let (arena, first) = (unit / Self::ARENA_UNITS, unit % Self::ARENA_UNITS);
        match self.placement {
            Placement::Adjacent => unit,
            Placement::Apart => (Self::ARENAS - 1 - arena) * Self::ARENA_UNITS + first,
        }
    }
}

impl<G: TestGeometry, const W: usize> Tables for TestTables<G, W> {
    const GEOMETRY: Geometry = G::GEOMETRY;
    const WORD_BYTES: usize = W;

    fn units(&self, arena: usize, first: usize) -> &[AtomicUsize] {
        assert!(first < Self::ARENA_UNITS, "a unit of an arena");
        let unit = arena * Self::ARENA_UNITS + first;
        if arena >= Self::ARENAS || self.absent.contains(&unit) {
            return &[];
        }
        let mut end = match self.placement {
            Placement::Adjacent => Self::ARENAS * Self::ARENA_UNITS,
            Placement::Apart => (arena + 1) * Self::ARENA_UNITS,
        };
        if unit < self.absent.start {
            end = end.min(self.absent.start);
        }
        let place = self.place(unit);
        &self.units[place..place + end - unit]
    }
}
