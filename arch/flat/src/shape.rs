//! Shapes of the address space of a machine without an MMU.

use archipelago_api::{Geometry, IndexRoot, IndexWord};

/// The shape of a machine's address space, chosen by the firmware.
///
/// [`Small`] is one for most parts; [`shape!`](crate::shape!) makes one of any geometry.
pub trait Shape: Send + Sync + 'static {
    /// The shape of the address space.
    const GEOMETRY: Geometry;

    /// Storage for the first level of the arena index.
    type IndexRoot: IndexRoot;
}

/// [`Geometry::small`] with 2^`ADDRESS_BITS` bytes of space and pages of 2^`PAGE_SHIFT`.
///
/// Any memory fits whose first and last byte lie less than half of the space apart, wherever it is:
/// with 21 bits, a megabyte. Fewer bits cost less metadata. Small pages lose less to rounding, and
/// more to metadata.
///
/// A shape whose index needs a root of more than one word is stopped by the compiler;
/// [`shape!`](crate::shape!) makes it.
///
/// ```compile_fail
/// use archipelago_flat::{FlatHeap, Small};
/// # use archipelago_sim::Hosted;
///
/// // There are no size classes for pages of 128 bytes.
/// static HEAP: FlatHeap<Hosted, Small<16, 7>> = FlatHeap::empty();
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Small<const ADDRESS_BITS: u32 = 21, const PAGE_SHIFT: u32 = 10> {}

impl<const ADDRESS_BITS: u32, const PAGE_SHIFT: u32> Shape for Small<ADDRESS_BITS, PAGE_SHIFT> {
    const GEOMETRY: Geometry = Geometry::small(ADDRESS_BITS, PAGE_SHIFT);
    type IndexRoot = [IndexWord; 1];
}

/// Makes a [`Shape`] of a geometry, with the index root that it needs.
///
/// ```
/// use archipelago_api::Geometry;
/// use archipelago_flat::Shape;
///
/// archipelago_flat::shape! {
///     /// RAM in banks as far apart as 512 MiB.
///     pub Banks = Geometry::small(30, 10)
/// }
/// assert_eq!(Banks::GEOMETRY.address_bits, 30);
/// ```
///
/// The compiler stops at a geometry that does not add up, with a message that names the rule.
///
/// ```compile_fail
/// use archipelago_api::Geometry;
///
/// archipelago_flat::shape! {
///     /// An arena of half a chunk.
///     pub Lopsided = Geometry { arena_shift: 15, ..Geometry::small(24, 10) }
/// }
/// ```
#[macro_export]
macro_rules! shape {
    ($(#[$attribute:meta])* $visible:vis $name:ident = $geometry:expr) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visible enum $name {}

        const _: () = {
            const GEOMETRY: $crate::Geometry = {
                let geometry: $crate::Geometry = $geometry;
                geometry.check();
                geometry
            };

            impl $crate::Shape for $name {
                const GEOMETRY: $crate::Geometry = GEOMETRY;
                type IndexRoot = [$crate::IndexWord; 1 << GEOMETRY.index_root_shift];
            }
        };
    };
}
