//! The part that all machines with page tables share, for the `archipelago` heap.
//!
//! A kernel plugs in the crate of its own machine, which re-exports the items of this one that
//! kernels need. To bring the heap to another machine with page tables, write
//!
//! 1. the bits of its entries, an [`EntryFormat`], and its [`Level`]s, as data. Where all tables
//!    are frames of one kind of entries, they make a [`RadixFormat`], and [`RadixTables`] are the
//!    kernel's tables. Any other machine, or one whose kernels have tables in types of their own,
//!    implements [`PagingMode`];
//! 2. its TLB maintenance, a [`Tlb`];
//! 3. a kernel that masks interrupts ([`archipelago_api::Kernel`]).
//!
//! [`Paging`] is then the machine, with all that the contract promises: all frames are allocated
//! before any entry is written, TLBs are flushed before a frame is used again, frames that the
//! allocator will not take back are held and used first, tables of the kernel's are used and never
//! freed, and a caller that must not wait never does.
//!
//! | trait | stands for |
//! | --- | --- |
//! | [`PagingMode`] | levels and entries, and how tables are reached |
//! | [`FrameAllocator`], [`FrameDeallocator`] | the kernel's frames |
//! | [`AdjacentFrames`] | adjacent frames, for devices; on request alone |
//! | [`Locked`] | the kernel's locks around tables and frames |
//! | [`Tlb`] | translations that CPUs cache |
#![no_std]

#[cfg(test)]
extern crate alloc as std_alloc;

mod alloc;
#[cfg(feature = "lock_api")]
mod any_mutex;
mod entry;
mod frames;
mod level;
mod locked;
mod mode;
mod owned;
mod paging;
mod physmap;
mod pieces;
mod radix;
mod steps;
mod table;
mod tlb;
mod walk;
mod windows;

pub use alloc::{
    AdjacentFrames, AllocateFrames, DeallocateFrames, FrameAllocator, FrameDeallocator, PlainFrames,
};
pub use entry::{EntryFormat, Link, PageState, TableRef};
pub use level::Level;
pub use locked::{Locked, Owned, Relax};
pub use mode::PagingMode;
pub use owned::{MarkedTables, OwnedTables, RootSet};
pub use paging::Paging;
pub use physmap::{Linear, PhysMap};
pub use pieces::pieces;
pub use radix::{RadixFormat, RadixTables};
pub use tlb::{ForOneCpu, Tlb};
pub use windows::MAX_WINDOWS;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
