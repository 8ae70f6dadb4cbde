//! Layer 1: page numbers, sparse tables, locks, the sync facade.
//!
//! The layer knows nothing of heaps. It hands up [`PageIdx`] and [`PageRun`], [`sparse`] tables,
//! and [`lock::RankedLock`]; it takes from below typed addresses and the geometry.

#[cfg(not(loom))]
pub(crate) mod cell;
#[cfg(not(loom))]
pub(crate) mod held;
#[cfg(not(loom))]
pub(crate) mod invariant;
#[cfg(not(loom))]
pub(crate) mod lock;
#[cfg(all(test, loom))]
mod loom_model;
#[cfg(not(loom))]
mod number;
pub(crate) mod sparse;
pub(crate) mod sync;

#[cfg(not(loom))]
pub(crate) use number::{PageIdx, PageRun, Shape};
