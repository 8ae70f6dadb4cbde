//! The `archipelago` heap's machine on 32-bit ARM: short-descriptor page tables and frames are the
//! kernel's own.
//!
//! # Plugging in
//! A kernel hands over its tables and its frame allocator. In about five lines:
//!
//! ```no_run
//! use archipelago::{Heap, Window};
//! use archipelago_arm::{FrameAllocator, Linear, Paging, Roots, SingleCpu, Walks};
//! # use archipelago_api::PhysAddr;
//! # use core::ptr::NonNull;
//! # struct MyFrames;
//! # unsafe impl FrameAllocator for MyFrames {
//! #     fn allocate_frame(&mut self) -> Option<PhysAddr> { None }
//! # }
//! # #[cfg(not(target_arch = "arm"))]
//! # fn main() {}
//! # #[cfg(target_arch = "arm")]
//! # fn main() {
//!
//! static HEAP: Heap<Paging<Roots, MyFrames>, SingleCpu> = Heap::new();
//!
//! fn init_heap(ttbr0: NonNull<u32>, ttbr1: NonNull<u32>, frames: MyFrames) {
//!     // SAFETY: RAM is mapped at its own addresses, and the registers hold these tables, N = 1.
//!     let tables = unsafe { Roots::new(ttbr0, ttbr1, 1, Walks::Coherent, Linear::at(0)) };
//!     // SAFETY: the kernel changes no entries of the window, and runs on one CPU.
//!     let machine = unsafe { Paging::one_cpu(tables, frames) };
//!     HEAP.init(&[Window::new(0xd000_0000, 1 << 28)], machine).expect("a window of our own");
//! }
//! # }
//! ```
//!
//! - A [`FrameAllocator`] hands out frames of 4 KiB below 4 GiB. An allocator that takes frames
//!   back is a [`FrameDeallocator`], and [`Paging::returning`] says so. Without it the machine
//!   holds frames that the heap no longer needs, and uses them before it asks for new ones.
//! - A kernel that goes on using its tables and frames keeps them under its own locks, and makes
//!   the machine with [`Paging::shared_on_one_cpu`] over a [`Locked`].
//! - A kernel on several CPUs makes the machine with [`Paging::new`] or [`Paging::shared`], and
//!   then `with_tlb(Maintenance(Broadcast::new()))`: the hardware tells all CPUs of the Inner
//!   Shareable domain of changes.
//! - [`SingleCpu`] is for one CPU without preemptive threads, [`SingleCpuThreads`] for one with
//!   them, [`MultiCpu`] and [`MultiCpuThreads`] are for several. `SingleCpu<Handlers>` is for a
//!   kernel whose interrupt handlers allocate. Any other kernel implements [`Kernel`].
//!
//! # Changes to page tables
//! 4 MiB of address space are a slot: four words of the first level, which link the four
//! second-level tables of 1 KiB that share one frame. So a table fills a frame of the kernel's
//! allocator, and a slot is an arena of the heap. The machine makes the tables when a range in the
//! slot is prepared, out of frames that were all allocated beforehand, and frees them when the last
//! page of the heap is gone from them. The first level is the kernel's, so a window may lie under
//! TTBR0, under TTBR1, or over both.
//!
//! Pages are Normal memory, write-back and shareable, readable and writable by the kernel alone,
//! never executable, and global, so the heap needs no ASID. The tables of each process share the
//! slots of the windows, most simply by having them under TTBR1.
//! [`SmallPage::READY`] shows the bits, and [`maintenance`] the order of barriers and
//! invalidations with the manual's reasons.
//!
//! # Limits
//! - Short descriptors: 32-bit physical addresses.
//! - A slot in which the kernel has mapped sections, or second-level tables that do not fill one
//!   frame in order, holds no window.
//! - Frames that the source takes back must have no other mapping with other memory attributes.
//! - [`MAX_WINDOWS`] ranges that do not touch each other.
#![no_std]

#[cfg(target_pointer_width = "16")]
compile_error!("archipelago-arm is for addresses of 32 bits");

mod descriptor;
mod kernel;
pub mod maintenance;
mod roots;

pub use archipelago_api::context::{
    Context, HandlerDepth, HandlerGuard, Handlers, HandlersOf, Ordinary, PerCpu,
};
pub use archipelago_api::kernels::{Cpus, Interrupts, Threads};
pub use archipelago_api::{
    AllocFlags, CpuId, Fault, InterruptState, Kernel, PhysAddr, Reentry, Report, VirtAddr,
    VirtRange,
};
pub use archipelago_paging::{
    AdjacentFrames, FrameAllocator, FrameDeallocator, Linear, Link, Locked, MAX_WINDOWS, Owned,
    PhysMap, Relax, Tlb,
};
pub use descriptor::{Invalid, Short, SmallPage};
pub use kernel::{CpuInterrupts, MultiCpu, MultiCpuThreads, SingleCpu, SingleCpuThreads};
pub use maintenance::{Broadcast, Maintenance, OneCpu};
pub use roots::{GEOMETRY, Roots, ShortDescriptors, Walks};

/// The machine of a 32-bit ARM kernel: its first-level tables `P`, which are [`Roots`], and its
/// frame allocator `F`, under the locks `L`, with `T` for TLB maintenance. The
/// [crate's page](crate) shows how a kernel plugs it in.
pub type Paging<P, F, L = Owned<P, F>, T = Maintenance<OneCpu>> =
    archipelago_paging::Paging<ShortDescriptors, P, F, L, T>;
