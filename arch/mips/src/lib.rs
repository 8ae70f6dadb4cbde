//! The `archipelago` heap's machine on 32-bit MIPS with a TLB: a software page table, the TLB
//! refill handler that walks it, and TLB maintenance. One source for both byte orders.
//!
//! # Plugging in
//! A kernel that has no page table of its own takes this one, and links the refill handler at its
//! vector:
//!
//! ```no_run
//! use archipelago::{Heap, Window};
//! use archipelago_mips::{FrameAllocator, Paging, SingleCpu, SoftwareTables};
//! # use archipelago_api::PhysAddr;
//! # struct MyFrames;
//! # unsafe impl FrameAllocator for MyFrames {
//! #     fn allocate_frame(&mut self) -> Option<PhysAddr> { None }
//! # }
//! # #[cfg(not(target_arch = "mips"))]
//! # fn main() {}
//! # #[cfg(target_arch = "mips")]
//! # fn main() {
//!
//! static HEAP: Heap<Paging<MyFrames>, SingleCpu> = Heap::new();
//!
//! fn init_heap(frames: MyFrames) {
//!     let tables = SoftwareTables::take().expect("this is the first call");
//!     // SAFETY: the vectors are linked where the processor looks, `frames` lie below 512 MiB, and
//!     // this kernel runs on one CPU.
//!     let machine = unsafe { Paging::one_cpu(tables, frames) };
//!     HEAP.init(&[Window::new(0x1000_0000, 256 << 20)], machine).expect("a window of our own");
//! }
//! # }
//! ```
//!
//! In the linker script, with the processor's vectors at 0x8000_0000 (EBase as it is after reset,
//! Status.BEV cleared):
//!
//! ```text
//! EXTERN(archipelago_refill)
//! .vectors.refill  0x80000000 : { KEEP(*(.archipelago.refill)) }
//! .vectors.general 0x80000180 : { KEEP(*(.my.general.vector)) }
//! ```
//!
//! `MyFrames` is a [`FrameAllocator`]. A kernel may also choose:
//! - [`Paging::returning`] where the allocator takes frames back ([`FrameDeallocator`]). Without it
//!   the machine holds frames that the heap no longer needs, and uses them before it asks for new
//!   ones.
//! - [`Paging::shared_on_one_cpu`] over a [`Locked`] where the kernel goes on using tables and
//!   frames.
//! - `Paging<MyFrames, Kseg23>` for windows in kseg2 and kseg3, which user programs cannot touch.
//! - A [`PagingMode`] of its own, where it has page tables and a refill handler already. Then the
//!   machine is `archipelago_paging::Paging` over that mode, with [`Entries`] as the format of
//!   entries that can go into EntryLo as they are.
//! - `SingleCpu<Handlers>` where interrupt handlers allocate ([`Handlers`]).
//!
//! # Setting up the processor
//! - PageMask is 0: pages of 4 KiB. The TLB has been emptied once, since its contents after reset
//!   are undefined.
//! - The general vector tells a kernel's own faults apart, as it does without the heap: a TLB
//!   exception on an address in a window is an access to memory that is not Ready.
//! - The kernel's image is linked into kseg0, with the directory and the handler in it. All memory
//!   that the general vector touches before it leaves the exception level lies in kseg0, or in
//!   pages that are wired: a miss there would not be refilled.
//!
//! # Changes to the TLB
//! A TLB entry translates a pair of pages. A pair is refilled with both entries as the tables have
//! them, and is dropped whenever one of them changes: also when memory becomes Ready, since the TLB
//! caches the absence of pages. Both halves are global, whatever they map, so address-space numbers
//! (ASIDs) do not matter. Wired entries stay.
//!
//! # Limits
//! - Memory is read-write, and never executable only where the processor has `RIXI` and PageGrain
//!   enables it (PageGrain.XIE): the 24K has nothing that forbids execution.
//! - Frames that may hold tables lie below 512 MiB, in kseg0's reach; so do all frames of an
//!   allocator that does not take them back, since held frames are linked through their first
//!   words.
//! - A data cache whose ways are larger than a page, without the hardware that removes aliases
//!   (Config7.AR), sees kseg0 and a window as two memories. The machine writes back and invalidates
//!   what it wrote to a frame through kseg0 before the frame is used elsewhere, and what was
//!   written through a window before its frames are. The frame allocator has to do so with the
//!   lines of a frame that were touched through kseg0 before it hands the frame out.
//! - One CPU with [`Paging::one_cpu`]; more with [`Paging::new`] and [`Paging::with_tlb`] over a
//!   [`Tlb`] of the kernel's, which has each CPU call [`LocalTlb`]'s `flush_local`.
#![no_std]
#![cfg_attr(target_arch = "mips", feature(asm_experimental_arch))]

#[cfg(target_pointer_width = "16")]
compile_error!("archipelago-mips is for addresses of 32 bits");

#[cfg(any(test, target_arch = "mips", doc))]
mod cache;
#[cfg(any(target_arch = "mips", doc))]
mod cp0;
mod directory;
mod entry;
#[cfg(any(test, target_arch = "mips", doc))]
mod flush;
mod kernel;
#[cfg(any(target_arch = "mips", doc))]
mod refill;
mod segment;
mod tlb;

pub use archipelago_api::context::{
    Context, HandlerDepth, HandlerGuard, Handlers, HandlersOf, Ordinary, PerCpu,
};
pub use archipelago_api::kernels::{Cpus, Interrupts, Threads};
pub use archipelago_api::{
    AllocFlags, CpuId, Fault, InterruptState, Kernel, PhysAddr, Reentry, Report, VirtAddr,
    VirtRange,
};
pub use archipelago_paging::{
    AdjacentFrames, FrameAllocator, FrameDeallocator, Link, Locked, MAX_WINDOWS, Owned, PagingMode,
    Relax, Tlb,
};
pub use directory::{Entries, SoftwareTables, SoftwareWalk};
pub use entry::Entry;
pub use kernel::{CpuInterrupts, MultiCpu, MultiCpuThreads, SingleCpu, SingleCpuThreads};
#[cfg(any(target_arch = "mips", doc))]
pub use refill::refill_handler;
pub use segment::{Kseg23, Kuseg, Segment};
pub use tlb::LocalTlb;

/// The machine of a 32-bit MIPS kernel: the crate's tables of the segment `S`, and the kernel's
/// frame allocator `F`, under the locks `L`, with `T` for TLB maintenance. The
/// [crate's page](crate) shows how a kernel plugs it in.
pub type Paging<F, S = Kuseg, L = Owned<SoftwareTables<S>, F>, T = LocalTlb> =
    archipelago_paging::Paging<SoftwareWalk, SoftwareTables<S>, F, L, T>;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
