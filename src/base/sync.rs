//! Atomics that are not always `core`'s.
//!
//! With the feature `critical-section`, atomics with read-modify-write operations are
//! `portable-atomic`'s: on cores without compare-and-swap these enter a critical section, in which
//! a single CPU with masked interrupts is alone. A plain load and store would lose the change of a
//! handler in between. Models replace this file, and with it the atomics of the modules that they
//! compile (`tests/loom`).

use archipelago_api::{IndexRoot, IndexWord};

pub(crate) use core::sync::atomic::{
    AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicUsize as CoreUsize, Ordering, fence,
};

#[cfg(not(feature = "critical-section"))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicUsize};
#[cfg(feature = "critical-section")]
pub(crate) use portable_atomic::{AtomicBool, AtomicUsize};

/// The words of the first level of an arena index.
#[inline(always)]
pub(crate) fn words_of<R: IndexRoot>(root: &R) -> &[IndexWord] {
    root.words()
}

/// A number that nobody writes meanwhile: a load that the compiler may make a part of another
/// instruction.
///
/// # Safety
/// Nobody writes the number meanwhile.
#[inline(always)]
pub(crate) unsafe fn read_alone(number: &CoreUsize) -> usize {
    // SAFETY: there is a number, and nobody writes it meanwhile.
    unsafe { number.as_ptr().read() }
}

/// Adds to a number that only the caller uses, as one instruction where there is one. Returns what
/// it is now.
///
/// # Safety
/// Nobody else reads or writes the number meanwhile.
#[inline(always)]
pub(crate) unsafe fn add_alone(number: &AtomicU16, more: u16) -> u16 {
    let place = number.as_ptr();
    // SAFETY: there is a number, and nobody else uses it meanwhile.
    let sum = unsafe { place.read() }.wrapping_add(more);
    // SAFETY: as above.
    unsafe { place.write(sum) };
    sum
}
