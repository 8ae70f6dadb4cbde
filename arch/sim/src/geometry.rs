//! The shapes of address space that a simulated machine may have.

use archipelago_api::{Geometry, IndexRoot, IndexWord};

/// The shape of a simulated machine: constants, which the compiler checks where a machine is built.
///
/// ```
/// use archipelago_api::{Geometry, IndexWord};
/// use archipelago_sim::{Sim, SimGeometry, Small};
///
/// struct Wide;
///
/// impl SimGeometry for Wide {
///     const GEOMETRY: Geometry =
///         Geometry { index_root_shift: 1, address_bits: 25, ..Small::GEOMETRY };
///     type IndexRoot = [IndexWord; 2];
///     const TABLE_SHIFTS: &'static [u32] = &[];
/// }
///
/// let builder = Sim::<Wide>::builder();
/// ```
///
/// ```compile_fail,E0080
/// use archipelago_api::{Geometry, IndexWord};
/// use archipelago_sim::{Sim, SimGeometry, Small};
///
/// struct Wide;
///
/// impl SimGeometry for Wide {
///     // One bit of address for nothing.
///     const GEOMETRY: Geometry =
///         Geometry { index_root_shift: 1, address_bits: 26, ..Small::GEOMETRY };
///     type IndexRoot = [IndexWord; 2];
///     const TABLE_SHIFTS: &'static [u32] = &[];
/// }
///
/// let builder = Sim::<Wide>::builder();
/// ```
pub trait SimGeometry: Send + Sync + 'static {
    /// The shape of the address space.
    const GEOMETRY: Geometry;

    /// Storage for the first level of the arena index.
    type IndexRoot: IndexRoot;

    /// log2 of the bytes that one page table covers, from the last level up, without the root,
    /// which is the kernel's. Empty on a machine without MMU.
    const TABLE_SHIFTS: &'static [u32];

    /// Whether decommitted frames can serve others.
    const DECOMMITS: bool = true;
}

/// The shape of x86_64 with four levels of page tables: both halves of a 48-bit space, the upper
/// one first.
#[cfg(target_pointer_width = "64")]
#[derive(Clone, Copy, Debug)]
pub struct X86_64;

#[cfg(target_pointer_width = "64")]
impl SimGeometry for X86_64 {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 48,
        base: 0xffff_8000_0000_0000,
        granule_shift: 12,
        page_shift: 12,
        chunk_shift: 21,
        arena_shift: 26,
        index_root_shift: 10,
        index_table_shift: 12,
    };
    type IndexRoot = [IndexWord; 1024];
    const TABLE_SHIFTS: &'static [u32] = &[21, 30, 39];
}

/// A 32-bit space with three levels of page tables, as on ARM with the long descriptor format.
#[derive(Clone, Copy, Debug)]
pub struct Plain32;

impl SimGeometry for Plain32 {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 32,
        base: 0,
        granule_shift: 12,
        page_shift: 12,
        chunk_shift: 21,
        arena_shift: 22,
        index_root_shift: 0,
        index_table_shift: 10,
    };
    type IndexRoot = [IndexWord; 1];
    const TABLE_SHIFTS: &'static [u32] = &[21, 30];
}

/// The 31-bit user segment of 32-bit MIPS, with the two levels that its kernels usually walk.
#[derive(Clone, Copy, Debug)]
pub struct Plain31;

impl SimGeometry for Plain31 {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 31,
        index_table_shift: 9,
        ..Plain32::GEOMETRY
    };
    type IndexRoot = [IndexWord; 1];
    const TABLE_SHIFTS: &'static [u32] = &[22];
}

/// The mapped part of the kernel's half on 32-bit MIPS: the highest GiB of addresses, whatever the
/// width of a pointer. The space does not hold address 0, and ends at the top of the addresses.
#[derive(Clone, Copy, Debug)]
pub struct Top30;

impl SimGeometry for Top30 {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 30,
        base: 0_usize.wrapping_sub(1 << 30),
        index_table_shift: 8,
        ..Plain32::GEOMETRY
    };
    type IndexRoot = [IndexWord; 1];
    const TABLE_SHIFTS: &'static [u32] = &[22];
}

/// A small part without MMU: 16 MiB of space, pages of 1 KiB, chunks and arenas of 64 KiB.
#[derive(Clone, Copy, Debug)]
pub struct Small;

impl SimGeometry for Small {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 24,
        base: 0,
        granule_shift: 10,
        page_shift: 10,
        chunk_shift: 16,
        arena_shift: 16,
        index_root_shift: 0,
        index_table_shift: 8,
    };
    type IndexRoot = [IndexWord; 1];
    const TABLE_SHIFTS: &'static [u32] = &[];
}

/// A space like [`Small`] whose windows are the memory: a decommit gains nothing.
#[derive(Clone, Copy, Debug)]
pub struct SmallFixed;

impl SimGeometry for SmallFixed {
    const GEOMETRY: Geometry = Small::GEOMETRY;
    type IndexRoot = [IndexWord; 1];
    const TABLE_SHIFTS: &'static [u32] = &[];
    const DECOMMITS: bool = false;
}

/// A 32-bit space whose heap pages are two granules each: pages of 8 KiB, chunks and arenas of 4
/// MiB.
#[derive(Clone, Copy, Debug)]
pub struct WidePage;

impl SimGeometry for WidePage {
    const GEOMETRY: Geometry = Geometry {
        page_shift: 13,
        chunk_shift: 22,
        ..Plain32::GEOMETRY
    };
    type IndexRoot = [IndexWord; 1];
    const TABLE_SHIFTS: &'static [u32] = &[22];
}

/// Stops the compilation unless geometry, index root and page tables of `G` fit each other.
pub(crate) const fn check<G: SimGeometry>() {
    let geometry = G::GEOMETRY;
    geometry.check();
    assert!(
        <G::IndexRoot as IndexRoot>::LEN == 1 << geometry.index_root_shift,
        "the index root has the length that the geometry says"
    );
    assert!(
        geometry.granule_shift > 0,
        "the simulated machine numbers granules, and their count must fit a usize"
    );
    check_tables(G::TABLE_SHIFTS, geometry.granule_shift);
}

/// Panics unless each level of tables covers more than the one below it.
pub(crate) const fn check_tables(shifts: &[u32], granule_shift: u32) {
    let mut below = granule_shift;
    let mut level = 0;
    while level < shifts.len() {
        assert!(
            shifts[level] > below && shifts[level] < usize::BITS,
            "each level of page tables covers more than the one below it"
        );
        below = shifts[level];
        level += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ready_made_shape_adds_up() {
        #[cfg(target_pointer_width = "64")]
        const {
            check::<X86_64>()
        };
        const { check::<Plain32>() };
        const { check::<Plain31>() };
        const { check::<Top30>() };
        const { check::<Small>() };
        const { check::<WidePage>() };
        assert_eq!(Small::GEOMETRY.chunk_pages(), 64);
        assert_eq!(WidePage::GEOMETRY.chunk_pages(), 512);
        assert_eq!(WidePage::GEOMETRY.arena_pages(), 512);
    }

    #[test]
    #[should_panic(expected = "covers more than the one below it")]
    fn table_levels_in_the_wrong_order_are_refused() {
        check_tables(&[30, 21], 12);
    }
}
