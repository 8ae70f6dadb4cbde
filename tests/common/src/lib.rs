//! Heaps on simulated machines, for the tests of the heap.
//!
//! [`Rig`] is a heap on a simulated machine, with the handle of the machine beside it. It checks
//! everything that is visible from outside: the two identities of the account, and that the account
//! and the machine agree on every byte. [`Block`] is an object that knows its layout and can be
//! filled and checked. [`placements`] has windows where address arithmetic breaks.
//! [`on_every_geometry!`] makes tests of functions that are generic in the geometry.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "this crate is for tests, which stop at the first surprise"
)]

mod block;
mod geometries;
#[cfg(debug_assertions)]
mod instances;
mod placements;
mod rig;

pub use block::{Block, layout};
#[cfg(debug_assertions)]
pub use instances::instances;
pub use placements::{Placement, lone_window, placements};
pub use rig::Rig;
