//! The segments of the address space that the TLB translates.

use core::fmt::Debug;
use core::sync::atomic::AtomicBool;

use archipelago_api::Geometry;

/// A part of the address space for windows: [`Kuseg`] or [`Kseg23`].
pub trait Segment: Debug + Send + Sync + sealed::Sealed + 'static {
    /// The shape of the segment.
    const GEOMETRY: Geometry;
}

/// The lower 2 GiB. Kernel and user programs alike can touch its pages: for kernels without user
/// programs, or whose user programs have address spaces without the heap's windows.
/// Addresses from 0x8000_0000 on are outside.
#[derive(Debug)]
pub enum Kuseg {}

/// The upper 1 GiB, from 0xc000_0000 up to 2^32, which the TLB maps and only the kernel can touch.
#[derive(Debug)]
pub enum Kseg23 {}

impl Segment for Kuseg {
    /// 31 bits from address 0 on: pages of 4 KiB, chunks of 2 MiB, arenas of 4 MiB.
    const GEOMETRY: Geometry = Geometry {
        address_bits: 31,
        base: 0,
        granule_shift: 12,
        page_shift: 12,
        chunk_shift: 21,
        arena_shift: 22,
        index_root_shift: 0,
        index_table_shift: 9,
    };
}

impl Segment for Kseg23 {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 30,
        base: 0xc000_0000,
        index_table_shift: 8,
        ..Kuseg::GEOMETRY
    };
}

const _: () = {
    Kuseg::GEOMETRY.check();
    Kseg23::GEOMETRY.check();
};

pub(crate) mod sealed {
    use super::{AtomicBool, Kseg23, Kuseg};

    pub trait Sealed {
        /// Whether the segment's tables were taken.
        fn is_taken() -> &'static AtomicBool;
    }

    impl Sealed for Kuseg {
        fn is_taken() -> &'static AtomicBool {
            static TAKEN: AtomicBool = AtomicBool::new(false);
            &TAKEN
        }
    }

    impl Sealed for Kseg23 {
        fn is_taken() -> &'static AtomicBool {
            static TAKEN: AtomicBool = AtomicBool::new(false);
            &TAKEN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipelago_api::{VirtAddr, VirtRange};

    fn holds<S: Segment>(address: usize) -> bool {
        S::GEOMETRY.offset(VirtAddr::new(address)).is_some()
    }

    #[test]
    fn addresses_that_no_tlb_translates_are_in_no_segment() {
        for address in [0x8000_0000, 0x9fff_ffff, 0xa000_0000, 0xbfff_ffff] {
            assert!(!holds::<Kuseg>(address) && !holds::<Kseg23>(address));
        }
        for address in [0, 0x1000, 0x7fff_ffff] {
            assert!(holds::<Kuseg>(address) && !holds::<Kseg23>(address));
        }
        for address in [0xc000_0000, 0xdfff_ffff, 0xe000_0000, 0xffff_ffff] {
            assert!(!holds::<Kuseg>(address) && holds::<Kseg23>(address));
        }
    }

    #[test]
    fn a_range_up_to_the_end_of_a_segment_is_in_it() {
        let last = |end: usize, bytes| VirtRange::new(VirtAddr::new(end - bytes + 1), bytes);
        let kuseg = last(0x7fff_ffff, 8 << 20).expect("does not wrap");
        assert!(Kuseg::GEOMETRY.contains(kuseg));
        let top = last(0xffff_ffff, 8 << 20).expect("does not wrap");
        assert!(Kseg23::GEOMETRY.contains(top));
        let over = VirtRange::new(VirtAddr::new(0x7fff_f000), 0x2000).expect("does not wrap");
        assert!(!Kuseg::GEOMETRY.contains(over));
    }
}
