//! The entries under test: those that the processor takes.

use archipelago_api::PhysAddr;
pub(crate) use archipelago_mips::Entries;
use archipelago_mips::Entry;

/// The empty entry.
pub(crate) const EMPTY: u32 = Entry::EMPTY.bits();

/// The frame that a valid entry translates to, which the manual has at bits 6 to 29.
pub(crate) fn frame_of(entry: u32) -> Option<PhysAddr> {
    let (is_valid, number) = (entry >> 1 & 1 == 1, entry << 2 >> 8);
    is_valid.then(|| PhysAddr::new(u64::from(number) << 12))
}
