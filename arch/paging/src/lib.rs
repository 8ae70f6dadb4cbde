//! What the machines of the `archipelago` heap share that translate addresses through page tables.
//!
//! A kernel plugs in the crate of its own machine, which re-exports what it needs of this one. For
//! whoever brings the heap to another machine there is:
//!
//! - [`Paging`], the machine itself: the transitions with all that they promise (locks and
//!   patience, all frames before any entry, frames held that the source will not have back, a flush
//!   before a frame is used again). It is generic over
//! - a [`Scheme`], which knows the machine's page tables, and with [`Takes`] and [`Returns`] how
//!   frames are taken from the kernel's source and given back;
//! - [`Access`] to what the kernel keeps behind its own locks;
//! - a [`Tlb`], through which CPUs are told;
//! - [`TwoLevel`], a scheme for 32-bit machines: a [`Directory`] of 4 MiB slots, each with a table
//!   in one frame, whose entries a [`Format`] writes.
#![no_std]

#[cfg(test)]
extern crate alloc;

mod access;
mod frames;
mod leaf;
mod paging;
mod pieces;
mod scheme;
mod steps;
mod tlb;
mod two_level;
mod windows;

pub use access::{Access, Owned};
pub use frames::Chain;
pub use leaf::{Change, Leaf};
pub use paging::Paging;
pub use pieces::pieces;
pub use scheme::{Returns, Scheme, Takes};
pub use tlb::Tlb;
pub use two_level::{Directory, Format, FrameReturn, FrameSource, Link, SLOT_BYTES, TwoLevel};
pub use windows::MAX_WINDOWS;
