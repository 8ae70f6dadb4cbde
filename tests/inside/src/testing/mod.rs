//! Doors into single layers, for tests against recorded vectors and for measurements.
//!
//! Pages are plain numbers here, counted from offset 0 of the address space.

mod cache;
mod pages;
mod random;
mod ranges;
#[path = "../../../../src/testing/source.rs"]
mod source;

use core::marker::PhantomData;

pub use archipelago_api::Geometry;

use crate::base::{PageIdx, PageRun, Shape};

pub use self::pages::{Bitmap, PageLayer, Taken};
pub use self::random::Random;
pub use self::ranges::RangeList;
pub use cache::CacheImage;

/// A geometry as a type.
pub trait TestGeometry: 'static {
    /// The geometry.
    const GEOMETRY: Geometry;
}

/// The shape of a geometry.
#[derive(Debug)]
pub(crate) struct Shaped<G>(PhantomData<fn() -> G>);

impl<G: TestGeometry> Shape for Shaped<G> {
    const GEOMETRY: Geometry = {
        G::GEOMETRY.check();
        G::GEOMETRY
    };
    const SCAVENGES: bool = true;
}

fn run(page: usize, count: usize) -> PageRun {
    PageRun::new(PageIdx(page), count)
}
