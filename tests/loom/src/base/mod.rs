//! The lowest layer, over atomics and locks of which loom knows. Held locks are not checked, as in
//! release builds.

mod cell;
#[path = "../../../../src/base/held/none.rs"]
pub(crate) mod held;
#[path = "../../../../src/base/invariant.rs"]
pub(crate) mod invariant;
#[path = "../../../../src/base/lock.rs"]
pub(crate) mod lock;
#[path = "../../../../src/base/number.rs"]
mod number;
#[path = "../../../../src/base/sparse.rs"]
pub(crate) mod sparse;
pub(crate) mod sync;

pub(crate) use number::{PageIdx, PageRun, Shape};
