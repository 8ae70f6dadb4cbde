//! Layer 1: page numbers, sparse tables, locks, the sync facade.
//!
//! The layer knows nothing of heaps. It hands up [`PageIdx`] and [`PageRun`], [`sparse`] tables,
//! and [`lock::RankedLock`]; it takes from below typed addresses and the geometry.

pub(crate) mod cell;
pub(crate) mod held;
pub(crate) mod invariant;
pub(crate) mod lock;
mod number;
pub(crate) mod sparse;
pub(crate) mod sync;

pub(crate) use number::{PageIdx, PageRun, Shape};
