//! Tests of the page layer, on every shape of address space, at its bottom, in its middle and at
//! its top.

use archipelago_api::Geometry;
use archipelago_sim::SimGeometry;

use crate::base::{PageIdx, PageRun};
use crate::testing::TestGeometry;

use self::model::Fixture;

macro_rules! geometries {
    ($($(#[$attribute:meta])* $name:ident = $geometry:expr;)*) => {
        $(
            $(#[$attribute])*
            #[derive(Debug)]
            pub(super) struct $name;

            $(#[$attribute])*
            impl TestGeometry for $name {
                const GEOMETRY: Geometry = $geometry;
            }
        )*
    };
}

geometries! {
    #[cfg(target_pointer_width = "64")]
    X86 = archipelago_sim::X86_64::GEOMETRY;
    Plain32 = archipelago_sim::Plain32::GEOMETRY;
    Plain31 = archipelago_sim::Plain31::GEOMETRY;
    // Chunks of one or two words.
    Small = Geometry {
        address_bits: 24,
        base: 0,
        granule_shift: 10,
        page_shift: 10,
        chunk_shift: 16,
        arena_shift: 16,
        index_root_shift: 0,
        index_table_shift: 8,
    };
    // Chunks smaller than a word, and a space that does not begin at address 0.
    Tiny = Geometry {
        address_bits: 20,
        base: 0x2008_0000,
        granule_shift: 8,
        page_shift: 8,
        chunk_shift: 12,
        arena_shift: 14,
        index_root_shift: 0,
        index_table_shift: 6,
    };
}

/// Runs each of the named functions, generic over the geometry, as a test on every one of them.
macro_rules! on_every_geometry {
    ($($test:ident),* $(,)?) => {
        on_every_geometry! { @modules [$($test)*]
            #[cfg(target_pointer_width = "64")] x86_64 = X86;
            plain_32 = Plain32;
            plain_31 = Plain31;
            small_chunks = Small;
            tiny_chunks = Tiny;
        }
    };
    (@modules $tests:tt $($(#[$attribute:meta])* $module:ident = $geometry:ident;)*) => {
        $(
            $(#[$attribute])*
            mod $module {
                on_every_geometry! { @tests $geometry $tests }
            }
        )*
    };
    (@tests $geometry:ident [$($test:ident)*]) => {
        $(
            #[test]
            fn $test() {
                super::$test::<super::super::$geometry>();
            }
        )*
    };
}
// Below the macro, which is in scope from here on.

mod corruption;
mod damage;
mod exact;
mod model;
mod near;
mod random;
mod regression;
mod unit;

/// Pages of a chunk.
fn chunk<G: TestGeometry>() -> usize {
    G::GEOMETRY.chunk_pages()
}

fn run(first: usize, count: usize) -> PageRun {
    PageRun::new(PageIdx(first), count)
}

/// The first chunks of stretches of `chunks` chunks: at the bottom of the space, across its middle,
/// at its top.
fn places<G: TestGeometry>(chunks: usize) -> [usize; 3] {
    let all = 1 << G::GEOMETRY.chunk_number_bits();
    [0, (all - chunks) / 2, all - chunks]
}
