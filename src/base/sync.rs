//! Atomics that are not always `core`'s.
//!
//! With the feature `critical-section`, atomics with read-modify-write operations are
//! `portable-atomic`'s: on cores without compare-and-swap these enter a critical section, in which
//! a single CPU with masked interrupts is alone. A plain load and store would lose the change of a
//! handler in between. Models replace this file, and with it the atomics of the modules that they
//! compile (`tests/loom`).

use archipelago_api::{IndexRoot, IndexWord};

pub(crate) use core::sync::atomic::{
    AtomicPtr, AtomicU16, AtomicU32, AtomicUsize as CoreUsize, Ordering,
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
