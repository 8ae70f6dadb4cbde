//! The part of the address space that needs no tables: kseg0, where physical memory below 512 MiB
//! lies, the kernel's image in it.

use core::ptr;

use crate::memory::PhysRange;

/// Where physical address 0 lies.
const KSEG0: usize = 0x8000_0000;

/// How much physical memory lies there.
pub(super) const KSEG0_BYTES: u64 = 512 << 20;

// Symbols of the linker script, of which only the addresses mean anything.
unsafe extern "C" {
    static image_start: u8;
    static image_end: u8;
}

/// A pointer to the byte at a physical address. The end of the physmap has one too.
///
/// # Panics
/// If the address lies beyond the physmap.
#[must_use]
pub fn physmap(physical: u64) -> *mut u8 {
    assert!(
        physical <= KSEG0_BYTES,
        "{physical:#x} lies beyond the physmap"
    );
    let above = usize::try_from(physical).expect("the physmap is in reach");
    ptr::with_exposed_provenance_mut(KSEG0 + above)
}

/// The memory that the kernel's image occupies, zeroed memory and stack included.
pub(super) fn image() -> PhysRange {
    let physical = |symbol: *const u8| (symbol.addr() - KSEG0) as u64;
    PhysRange {
        start: physical(&raw const image_start),
        end: physical(&raw const image_end),
    }
}
