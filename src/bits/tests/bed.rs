//! Tables made of vectors: side by side in memory, or apart, and with holes.

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

/// How the tables of a bed lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// The table of an arena begins where that of the arena below ends, and is read on into.
    Adjacent,
    /// The tables lie in the opposite order.
    Apart,
}

/// The tables of a space whose words have `W` bytes.
#[derive(Debug)]
pub(super) struct Bed<G, const W: usize> {
    units: Vec<AtomicUsize>,
    lie: Lie,
    /// Units that are not Ready, counted from the bottom of the space.
    absent: Range<usize>,
    geometry: PhantomData<fn() -> G>,
}

impl<G: TestGeometry, const W: usize> Bed<G, W> {
    /// Units of an arena.
    pub(super) const ARENA_UNITS: usize = G::GEOMETRY.arena_bytes() / W / UNIT_WORDS;
    /// Words of an arena.
    pub(super) const ARENA_WORDS: usize = Self::ARENA_UNITS * UNIT_WORDS;
    /// Words of the space.
    pub(super) const WORDS: usize = Self::ARENAS * Self::ARENA_WORDS;
    const ARENAS: usize = 1 << (G::GEOMETRY.address_bits - G::GEOMETRY.arena_shift);

    /// Tables that are all Ready and all zero.
    pub(super) fn new(lie: Lie) -> Self {
        let units = (0..Self::ARENAS * Self::ARENA_UNITS).map(|_| AtomicUsize::new(0));
        Self {
            units: units.collect(),
            lie,
            absent: 0..0,
            geometry: PhantomData,
        }
    }

    /// The same, with these units not Ready, counted from the bottom of the space.
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

    /// Puts something into the units of these words, counted from the bottom of the space.
    pub(super) fn fill_words(&self, words: Range<usize>, mut unit: impl FnMut() -> usize) {
        for number in words.start / UNIT_WORDS..words.end.div_ceil(UNIT_WORDS) {
            self.units[self.place(number)].store(unit(), Relaxed);
        }
    }

    /// The bits of a word, counted from the bottom of the space: found without the code under test.
    pub(super) fn bits(&self, word: usize) -> (bool, bool) {
        let unit = self.units[self.place(word / UNIT_WORDS)].load(Relaxed);
        let half = usize::BITS / 2;
        let bit = 1 << (word % UNIT_WORDS);
        ((unit & bit) != 0, (unit >> half & bit) != 0)
    }

    /// Where a unit lies in the vector.
    fn place(&self, unit: usize) -> usize {
        let (arena, first) = (unit / Self::ARENA_UNITS, unit % Self::ARENA_UNITS);
        match self.lie {
            Lie::Adjacent => unit,
            Lie::Apart => (Self::ARENAS - 1 - arena) * Self::ARENA_UNITS + first,
        }
    }
}

impl<G: TestGeometry, const W: usize> Tables for Bed<G, W> {
    const GEOMETRY: Geometry = G::GEOMETRY;
    const WORD_BYTES: usize = W;

    fn units(&self, arena: usize, first: usize) -> &[AtomicUsize] {
        assert!(first < Self::ARENA_UNITS, "a unit of an arena");
        let unit = arena * Self::ARENA_UNITS + first;
        if arena >= Self::ARENAS || self.absent.contains(&unit) {
            return &[];
        }
        let mut end = match self.lie {
            Lie::Adjacent => Self::ARENAS * Self::ARENA_UNITS,
            Lie::Apart => (arena + 1) * Self::ARENA_UNITS,
        };
        if unit < self.absent.start {
            end = end.min(self.absent.start);
        }
        let place = self.place(unit);
        &self.units[place..place + end - unit]
    }
}
