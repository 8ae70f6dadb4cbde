//! Atomics that are not always `core`'s.
//!
//! Under `cfg(loom)`, atomics that are modelled are `loom`'s. With the feature `critical-section`,
//! atomics with read-modify-write operations are `portable-atomic`'s: on cores without
//! compare-and-swap these enter a critical section, in which a single CPU with masked interrupts is
//! alone. A plain load and store would lose the change of a handler in between.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, Ordering};

#[cfg(all(not(loom), not(feature = "critical-section")))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicUsize};
#[cfg(all(not(loom), feature = "critical-section"))]
pub(crate) use portable_atomic::{AtomicBool, AtomicUsize};
