//! Helpers of unit tests: geometries as types, and metadata memory for single layers.

mod source;

use core::marker::PhantomData;

use archipelago_api::Geometry;

use crate::base::Shape;

pub(crate) use self::source::{HostSource, top_up};

/// A geometry as a type.
pub(crate) trait TestGeometry: 'static {
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
