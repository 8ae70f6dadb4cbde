//! The boot stack, at an address of its own, below which nothing is mapped.

use core::cell::UnsafeCell;

/// The stack's low end, in a part of kseg3 that no test goes to.
pub(super) const STACK: usize = 0xe800_0000;

/// Bytes of the stack, which the linker script states as well.
pub(super) const STACK_BYTES: usize = 128 << 10;

/// A stack in kseg0 for the report about the other one.
#[repr(C, align(16))]
pub(super) struct Spare(UnsafeCell<[u8; 16 << 10]>);

// SAFETY: only exceptions that find the boot stack used up run on it, and they never return.
unsafe impl Sync for Spare {}

pub(super) static SPARE: Spare = Spare(UnsafeCell::new([0; 16 << 10]));

/// Whether an address is one that a stack which is used up runs into.
pub(super) fn is_below(address: usize) -> bool {
    (STACK - STACK_BYTES..STACK).contains(&address)
}
