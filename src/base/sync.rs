//! Atomics that are not always `core`'s.
//!
//! Those that are modelled are `loom`'s under `cfg(loom)`. Those that are read and written at once
//! are `portable-atomic`'s with the feature `critical-section`: on cores without compare-and-swap
//! these do it in a critical section, where one CPU that masks interrupts is alone. A plain load
//! and store would lose what a handler adds in between.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, Ordering};

#[cfg(all(not(loom), not(feature = "critical-section")))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicUsize};
#[cfg(all(not(loom), feature = "critical-section"))]
pub(crate) use portable_atomic::{AtomicBool, AtomicUsize};
