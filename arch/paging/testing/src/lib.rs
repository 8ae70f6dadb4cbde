//! Support for the tests of machines with page tables.
//!
//! [`FrameMemory`] is physical memory made of ordinary memory. A machine's tests put page tables in
//! it and write the walk of a CPU, [`Walked`], and its caches, [`Caches`], apart from the library,
//! so that they can judge it. [`Source`] is then the kernel's frame allocator with that CPU beside
//! it, and [`life`] has the tests of single transitions. On hosts that can map frames at any
//! address, `Board` and `Following` make a machine's memory accessible.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "this crate is for tests, which stop at the first surprise"
)]

extern crate alloc;

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod board;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod following;
pub mod life;
mod memory;
mod ranges;
mod source;
mod walked;

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
pub use board::{Board, over_the_end_of_a_table, space};
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
pub use following::{Following, exercise};
pub use memory::{FrameMemory, TableWord};
pub use ranges::{PAGE, each_page, giving_back, range};
pub use source::{Books, Source};
pub use walked::{Caches, Picture, Walked};
