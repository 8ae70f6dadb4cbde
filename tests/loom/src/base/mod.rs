//! The lowest layer, over atomics and locks of which loom knows.

#[path = "../../../../src/base/sparse.rs"]
pub(crate) mod sparse;
pub(crate) mod sync;
