//! The `archipelago` heap's machine on x86_64: the page tables and the frame source that a kernel has already.
#![no_std]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("archipelago-x86_64 is for 64-bit targets");

#[cfg(test)]
extern crate alloc;

mod access;
mod entry;
mod frames;
mod kernel;
mod paging;
mod steps;
mod tables;
mod tlb;
mod walk;
mod windows;

pub use access::{Access, Owned};
pub use entry::MARK;
pub use kernel::{Context, HandlerGuard, Handlers, Ordinary, SingleCpu};
pub use paging::Paging;
pub use tables::PageTables;
pub use tlb::{LocalTlb, Tlb};
pub use windows::MAX_WINDOWS;
