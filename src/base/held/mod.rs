//! The locks that each CPU holds, heap by heap: debug builds check their order, and that the
//! machine is called under none.
//!
//! A heap is known by a number, which its locks share from its initialisation on. Locks of
//! different heaps have no order among each other, since a kernel may use one heap in a visitor of
//! another. Release builds know neither numbers nor ranks.

#[cfg(not(debug_assertions))]
mod none;
#[cfg(debug_assertions)]
mod some;

#[cfg(not(debug_assertions))]
pub(crate) use none::{HeapNumber, HeldLocks, Membership};
#[cfg(debug_assertions)]
pub(crate) use some::{HeapNumber, HeldLocks, Membership};
