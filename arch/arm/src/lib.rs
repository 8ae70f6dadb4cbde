//! The `archipelago` heap's machine on 32-bit ARM: short-descriptor page tables and frames are the
//! kernel's own.
//!
//! # Plugging in
//! A kernel hands over its tables and its frame source. In about five lines:
//!
//! ```no_run
//! use archipelago::{Heap, Window};
//! use archipelago_arm::{FrameSource, Linear, Paging, Roots, SingleCpu, Walks};
//! # use archipelago_api::PhysAddr;
//! # use core::ptr::NonNull;
//! # struct MyFrames;
//! # unsafe impl FrameSource for MyFrames { fn take(&mut self) -> Option<PhysAddr> { None } }
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
//!     // SAFETY: nobody else changes entries of the window.
//!     let machine = unsafe { Paging::new(tables, frames) };
//!     HEAP.init(&[Window::new(0xd000_0000, 1 << 28)], machine).expect("a window of our own");
//! }
//! # }
//! ```
//!
//! - A [`FrameSource`] hands out frames of 4 KiB below 4 GiB. One that can have frames back is a
//!   [`FrameReturn`], and the machine is told so with [`Paging::returning`]. Without it, frames
//!   that the heap no longer needs are held in a stock and used before new ones are asked for.
//! - A kernel that goes on using its tables and frames keeps them behind its own locks, and makes
//!   the machine with [`Paging::shared`] over an [`Access`].
//! - All CPUs of the Inner Shareable domain are told of changes by the hardware. On a CPU without
//!   the Multiprocessing Extensions, `with_instructions(OneCpu)` and
//!   `with_tlb(Maintenance(OneCpu))`.
//! - [`SingleCpu`] is the kernel of one CPU; `SingleCpu<Handlers>` is one whose interrupt handlers
//!   allocate.
//!
//! # What it does to page tables
//! 4 MiB of address space are a slot: four words of the first level, which link the four
//! second-level tables of 1 KiB that share one frame. The frame is made when a range in the slot is
//! prepared, out of frames that were all taken beforehand, and freed when the last page of the heap
//! is gone from it. The first level is never allocated, so a window may lie under TTBR0, under
//! TTBR1, or over both.
//!
//! Pages are Normal memory, write-back and shareable, readable and writable by the kernel alone,
//! never executable, and global: the heap needs no ASID, and none is asked for. The kernel's
//! tables of each process share the slots of the windows, most simply by having them under TTBR1.
//! [`SmallPage::READY`] shows the bits, and [`maintenance`] the order of barriers and invalidations
//! with the manual's reasons.
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

pub use archipelago_api::context::{Context, HandlerGuard, Handlers, Ordinary};
pub use archipelago_paging::{
    Access, Directory, FrameReturn, FrameSource, Link, MAX_WINDOWS, Owned, Tlb, TwoLevel,
};
pub use descriptor::{Invalid, Short, SmallPage};
pub use kernel::SingleCpu;
pub use maintenance::{Broadcast, Maintenance, OneCpu};
pub use roots::{Linear, Reach, Roots, Walks};

/// The machine of a 32-bit ARM kernel: its first-level tables `P`, which are [`Roots`], and its
/// frame source `F`, behind the locks `A`, with `T` to make its CPUs forget translations. See the
/// [crate's page](crate) for how it is plugged in.
pub type Paging<P, F, A = Owned<P, F>, T = Maintenance<Broadcast>> =
    archipelago_paging::Paging<TwoLevel, P, F, A, T>;
