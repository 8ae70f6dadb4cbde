//! Layer 7: objects.
//!
//! The layer allocates, looks up, resizes and frees objects, and keeps the early heap. It takes
//! runs of pages from the page heap, whose locks it does not see, and slots from the central lists,
//! whose lock it takes.

mod adjacent;
mod alloc;
mod blocks;
mod cpu_memory;
mod cpus;
mod drain;
mod early;
mod early_map;
mod elsewhere;
mod free;
mod hidden;
mod init;
mod lookup;
mod memory;
mod missed;
mod misuse;
mod object_heap;
mod pages;
mod reclaim;
mod records;
mod remote;
mod request;
mod reserve;
mod resize;
mod retired;
mod scannable;
mod spans;
#[cfg(test)]
mod tests;

pub use adjacent::AdjacentRun;
pub(crate) use blocks::Cpus;
pub(crate) use cpus::AtOnce;
pub use early::EarlyRegion;
pub(crate) use free::deallocate_slowly;
pub use missed::Missed;
pub use object_heap::Heap;
pub use pages::{OwnedRun, Pages};
pub(crate) use remote::{ForAnother, announce_first};
pub use request::{AllocError, ReallocError};
