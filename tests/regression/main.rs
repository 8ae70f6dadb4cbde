//! Mistakes that heaps of this kind have made, each as a test of its own: at the ends of the
//! address space, in the order of windows, in the account, and in what metadata costs.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod ends;
mod failures;
// Handles reach further than a 32-bit space.
#[cfg(target_pointer_width = "64")]
mod far;
mod footprint;
mod large;
mod order;
mod pages;
