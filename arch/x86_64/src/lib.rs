//! The `archipelago` heap's machine on x86_64: page tables and frames come from the kernel's own
//! mapper and frame allocator, as the [`x86_64`] crate has them.
//!
//! # Plugging in
//! A kernel hands over what it has, at the place where it used to map its heap page by page:
//!
//! ```no_run
//! use archipelago::{Heap, Window};
//! use archipelago_x86_64::{Paging, SingleCpu};
//! use x86_64::structures::paging::OffsetPageTable;
//! # use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};
//! # struct MyFrames;
//! # unsafe impl FrameAllocator<Size4KiB> for MyFrames {
//! #     fn allocate_frame(&mut self) -> Option<PhysFrame> { None }
//! # }
//!
//! static HEAP: Heap<Paging<OffsetPageTable<'static>, MyFrames>, SingleCpu> = Heap::new();
//!
//! fn init_heap(mapper: OffsetPageTable<'static>, frames: MyFrames) {
//!     // SAFETY: `mapper` holds the tables in use, and the loader set EFER.NXE.
//!     let machine = unsafe { Paging::new(mapper, frames) };
//!     HEAP.init(&[Window::new(0x4444_4444_0000, 1 << 30)], machine).expect("a window of our own");
//! }
//! ```
//!
//! - A frame allocator that can take frames back (`FrameDeallocator`) is told so with
//!   [`Paging::returning`]. Without it, frames that the heap no longer needs are held in a stock
//!   and used before new ones are asked for.
//! - A kernel that goes on using its mapper and frames keeps them behind its own locks, and makes
//!   the machine with [`Paging::shared`] over an [`Access`].
//! - A kernel on several CPUs brings its shoot-down as a [`Tlb`] with [`Paging::with_tlb`].
//! - [`SingleCpu`] is the kernel of one CPU; `SingleCpu<Handlers>` is one whose interrupt handlers
//!   allocate.
//!
//! # What it does to page tables
//! Tables are read and written through the crate's own entry types, at the places that
//! [`PageTables`] answers. Tables that are missing are made when a range is prepared, out of frames
//! that were all taken beforehand, and freed when the last page of the heap is gone from them.
//! Entries of the heap carry [`MARK`], so that the kernel's tables are used and never freed, even
//! when they are empty; and a Prepared page is an entry that is not zero, so that a kernel that
//! tidies its tables takes none from the heap.
//!
//! Pages are present, writable, never executable, not global, and for the kernel alone.
//! `Translate`, asked about a Prepared page, answers frame 0: the crate takes every entry that is
//! not zero for a mapping.
//!
//! # Limits
//! - Four levels of tables (48-bit addresses).
//! - One set of tables for the windows: a kernel with an address space for each process links the
//!   level-3 tables of the windows into all of them before `init`, and they stay the kernel's.
//! - A kernel that maps pages of its own under a table that the machine made keeps that table
//!   alive, and counted as the machine's. Its own `clean_up` must then not free it.
//! - Two machines over one mapper (two heaps) have their windows in different 512 GiB, so that they
//!   share no table that one of them made; else either may free it, and their counts are off.
//! - `RecursivePageTable` cannot serve: it reaches no frame that is not a table yet.
//! - [`MAX_WINDOWS`] ranges that do not touch each other.
#![no_std]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("archipelago-x86_64 is for 64-bit targets");

mod entry;
mod kernel;
mod scheme;
mod steps;
mod tables;
mod tlb;
mod walk;

pub use archipelago_api::context::{Context, HandlerGuard, Handlers, Ordinary};
pub use archipelago_paging::{Access, MAX_WINDOWS, Owned, Tlb};
pub use entry::MARK;
pub use kernel::SingleCpu;
pub use scheme::FourLevel;
pub use tables::PageTables;
pub use tlb::LocalTlb;

/// The machine of an x86_64 kernel: its mapper `P` and its frame source `F`, behind the locks `A`,
/// with `T` to make its CPUs forget translations. See the [crate's page](crate) for how it is
/// plugged in, and [`FourLevel`] for what it asks of the CPU.
pub type Paging<P, F, A = Owned<P, F>, T = LocalTlb> =
    archipelago_paging::Paging<FourLevel, P, F, A, T>;
