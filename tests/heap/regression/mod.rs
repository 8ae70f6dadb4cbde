//! Mistakes that heaps of this kind have made, and some found by review, each as a test of its own:
//! at the ends of the address space, in the order of windows, in the account, in the cost of
//! metadata, in the reserve, and under kernels that inspect the heap at awkward moments.

mod early;
mod ends;
mod failures;
// Handles reach further than a 32-bit space.
#[cfg(target_pointer_width = "64")]
mod far;
mod footprint;
mod large;
mod observers;
mod order;
mod pages;
mod pending_undo;
mod reserve;
mod shapes;
mod unwound;
