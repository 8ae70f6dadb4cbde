//! Recorded allocation traces: reading them, and replaying them against an allocator.
//!
//! A trace is every allocation that a real program made, as `recorded/README.md` describes.
//! [`trace`] unpacks and checks one that lies in memory, [`replay`] makes its requests of a
//! [`Target`](replay::Target). Neither allocates: the memory that they need ([`trace::Workspace`],
//! a table of [`Block`]s) belongs to the caller, so that a kernel can keep it outside of the heap
//! that it measures.

#![no_std]

mod blocks;
pub mod replay;
pub mod trace;

pub use blocks::Block;
