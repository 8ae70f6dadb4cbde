//! The heap as its callers see it: the early region, `GlobalAlloc` and `Allocator`, reallocation,
//! requests with flags.

mod adjacent;
mod causes;
mod collections;
mod early;
mod empty;
mod flags;
mod pages;
mod resize;
