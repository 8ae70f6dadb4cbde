//! Layer 4: free pages.
//!
//! [`FreePages`] answers "which run of n pages, lowest first" over everything the heap owns: chunk
//! bitmaps ([`bits`]) under a sparse tree of summaries ([`summary`], [`tree`]), with a search
//! address below which nothing is free, and one for each short length of runs. Most runs lie in
//! one word of a bitmap, which is all that is looked at then ([`near`]). The layer hands up runs of
//! page numbers and how many of their pages have no memory; it takes from below page numbers,
//! sparse tables and ranges. It never touches a page and never calls the machine.
//!
//! # States of a page
//! An owned page is free or taken; beside that it is scavenged or Ready. Taking a page leaves its
//! scavenged bit set: it is in transit until whoever took it has had it committed and says so with
//! [`FreePages::made_ready`]. If that fails, the bits that are still set say exactly what was not
//! Ready before.
#![forbid(unsafe_code)]

mod aligned;
mod bits;
mod find;
mod free_pages;
mod marks;
mod near;
mod pages;
mod state;
mod summary;
mod survey;
mod tree;
mod verify;

pub(crate) use free_pages::{FreePages, Taken};
pub(crate) use state::State;

#[cfg(test)]
mod tests;
