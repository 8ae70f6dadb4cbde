//! Doors into single layers for the tests and measurements of this repository.
//!
//! Not part of the crate's interface: nothing here follows semantic versioning. Pages are plain
//! numbers here, counted from offset 0 of the address space.

mod pages;
mod ranges;
mod source;

use core::marker::PhantomData;

pub use archipelago_api::Geometry;

use crate::base::{PageIdx, PageRun, Shape};

pub use self::pages::{Bitmap, CacheImage, PageLayer, Taken};
pub use self::ranges::RangeList;
#[cfg(test)]
pub(crate) use self::source::{HostSource, top_up};

/// A geometry as a type.
pub trait TestGeometry: 'static {
    /// The geometry.
    const GEOMETRY: Geometry;
}

/// The shape that a geometry gives.
#[derive(Debug)]
pub(crate) struct Shaped<G>(PhantomData<fn() -> G>);

impl<G: TestGeometry> Shape for Shaped<G> {
    const GEOMETRY: Geometry = {
        G::GEOMETRY.check();
        G::GEOMETRY
    };
    const SCAVENGES: bool = true;
}

/// Numbers that look random and are the same in every run: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = usize::try_from(self.bits() >> 33).unwrap_or(0);
        number.checked_rem(bound).unwrap_or(0)
    }

    /// Puts `items` in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

fn run(page: usize, count: usize) -> PageRun {
    PageRun::new(PageIdx(page), count)
}
