//! The requests that `cargo xtask bench peers` compares heaps by.
//!
//! A [`Workload`] is made before anything is measured: lists of [`Action`]s, each of which names
//! its slot, its size and its alignment. [`Workload::run`] makes them through
//! `&dyn GlobalAlloc`, so that the same machine code drives every heap, and [`Nothing`] in the
//! place of a heap costs what the harness costs. What is counted happens in the function
//! [`MEASURED`], which a profiler finds by its name.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "measurements stop at the first surprise, as tests do"
)]

extern crate alloc;

mod action;
mod nothing;
mod row;
mod workload;

pub use action::{Action, Slots};
pub use nothing::Nothing;
pub use row::{Row, Scale};
pub use workload::{MEASURED, Workload};
