//! The `archipelago` heap's machine on x86_64: page tables and frames come from the kernel's own
//! mapper and frame allocator, as the [`x86_64`] crate has them.
//!
//! # Plugging in
//! A kernel hands over both, at the place where it used to map its heap page by page:
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
//!     // SAFETY: `mapper` holds the tables in use, the loader set EFER.NXE, and this kernel runs
//!     // on one CPU, without process-context identifiers.
//!     let machine = unsafe { Paging::one_cpu(mapper, frames) };
//!     HEAP.init(&[Window::new(0x4444_4444_0000, 1 << 30)], machine).expect("a window of our own");
//! }
//! ```
//!
//! - A kernel whose frame allocator takes frames back (`FrameDeallocator`) says so with
//!   [`Paging::returning`]. Without it the machine holds frames that the heap no longer needs, and
//!   uses them before it asks for new ones.
//! - A kernel that goes on using its mapper and frames keeps them under its own locks, and makes
//!   the machine with [`Paging::shared_on_one_cpu`] over a [`Locked`]: [below](#locks).
//! - A kernel on several CPUs, or with process-context identifiers (`CR4.PCIDE`), brings its
//!   shoot-down as a [`Tlb`]: [`Paging::new`] or [`Paging::shared`], then [`Paging::with_tlb`].
//!   Without it what they make is no machine:
//!
//! ```compile_fail,E0277
//! # use archipelago_x86_64::{Paging, PageTables};
//! # use x86_64::structures::paging::{FrameAllocator, Size4KiB};
//! fn machine<M: archipelago_api::Machine>(machine: M) -> M { machine }
//!
//! unsafe fn on_any_cpu<P: PageTables, F: FrameAllocator<Size4KiB> + Send + 'static>(p: P, f: F) {
//!     machine(unsafe { Paging::new(p, f) });
//! }
//! ```
//!
//! ```
//! # #[cfg(target_arch = "x86_64")]
//! # mod kernel {
//! # use archipelago_x86_64::{Paging, PageTables};
//! # use x86_64::structures::paging::{FrameAllocator, Size4KiB};
//! # fn machine<M: archipelago_api::Machine>(machine: M) -> M { machine }
//! # unsafe fn on_one<P: PageTables, F: FrameAllocator<Size4KiB> + Send + 'static>(p: P, f: F) {
//! machine(unsafe { Paging::one_cpu(p, f) });
//! # }
//! # }
//! ```
//!
//! - [`SingleCpu`] is for one CPU without preemptive threads, [`SingleCpuThreads`] for one with
//!   them, [`MultiCpu`] and [`MultiCpuThreads`] are for several. `SingleCpu<Handlers>` is for a
//!   kernel whose interrupt handlers allocate. Any other kernel implements [`Kernel`].
//!
//! # Locks
//! A kernel whose mapper and frame allocator are globals goes on using them under its own locks.
//! The machine takes each lock for a part of a call, and never waits for one while it holds the
//! other. Locks of the `spin` crate serve as they are; with the feature `lock_api`, those of any
//! `lock_api::Mutex` do:
//!
//! ```no_run
//! use archipelago::{Heap, Window};
//! use archipelago_x86_64::{Paging, SingleCpu};
//! use spin::Once;
//! use spin::lock_api::Mutex; // A `lock_api::Mutex`, as the kernel's own may be.
//! use x86_64::structures::paging::OffsetPageTable;
//! # use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};
//! # struct MyFrames;
//! # unsafe impl FrameAllocator<Size4KiB> for MyFrames {
//! #     fn allocate_frame(&mut self) -> Option<PhysFrame> { None }
//! # }
//!
//! type Mapper = OffsetPageTable<'static>;
//!
//! static MAPPER: Once<Mutex<Mapper>> = Once::new();
//! static FRAMES: Mutex<MyFrames> = Mutex::new(MyFrames);
//!
//! type Locks = (&'static Mutex<Mapper>, &'static Mutex<MyFrames>);
//! static HEAP: Heap<Paging<Mapper, MyFrames, Locks>, SingleCpu> = Heap::new();
//!
//! fn init_heap(mapper: Mapper) {
//!     let mapper = MAPPER.call_once(|| Mutex::new(mapper));
//!     // SAFETY: as above; the two statics are always the same, and no code of the kernel changes
//!     // entries of the window.
//!     let machine = unsafe { Paging::shared_on_one_cpu((mapper, &FRAMES)) };
//!     HEAP.init(&[Window::new(0x4444_4444_0000, 1 << 30)], machine).expect("a window of our own");
//! }
//! ```
//!
//! Any other lock, or a mapper inside of something else, is a [`Locked`] of the kernel's own, which
//! is one function. While the kernel holds one of its locks it must not make the heap wait for it:
//! it allocates with [`AllocFlags::ATOMIC`] or [`AllocFlags::NO_GROW`] then.
//!
//! # Devices
//! A frame allocator that is an [`AdjacentFrames`] supplies runs for devices:
//!
//! ```no_run
//! # use archipelago::{Heap, Window};
//! # use archipelago_x86_64::{AdjacentFrames, AllocFlags, Paging, PhysAddr, SingleCpu};
//! # use x86_64::structures::paging::{FrameAllocator, OffsetPageTable, PhysFrame, Size4KiB};
//! # struct MyFrames;
//! # impl MyFrames {
//! #     fn take_adjacent(&mut self, _: usize, _: usize) -> Option<PhysAddr> { None }
//! # }
//! # unsafe impl FrameAllocator<Size4KiB> for MyFrames {
//! #     fn allocate_frame(&mut self) -> Option<PhysFrame> { None }
//! # }
//! # struct Device;
//! # impl Device { fn set_ring(&self, _: PhysAddr, _: usize) {} }
//! # static HEAP: Heap<Paging<OffsetPageTable<'static>, MyFrames>, SingleCpu> = Heap::new();
//! # fn init_heap(mapper: OffsetPageTable<'static>, frames: MyFrames) {
//! // SAFETY: each frame is unused memory and begins at a multiple of `align`.
//! unsafe impl AdjacentFrames for MyFrames {
//!     fn allocate_adjacent(&mut self, count: usize, align: usize) -> Option<PhysAddr> {
//!         self.take_adjacent(count, align)
//!     }
//! }
//!
//! // SAFETY: as above.
//! let machine = unsafe { Paging::one_cpu(mapper, frames) }.adjacent();
//! # HEAP.init(&[Window::new(0x4444_4444_0000, 1 << 30)], machine).expect("a window of our own");
//! # }
//! # fn ring(device: &Device) -> Result<(), archipelago::AllocError> {
//!
//! let ring = HEAP.pages().allocate_adjacent(4, 16 << 10, AllocFlags::ZEROED)?;
//! device.set_ring(ring.physical(), ring.bytes());
//! # Ok(())
//! # }
//! ```
//!
//! # Changes to page tables
//! The machine reads and writes tables where [`PageTables`] says that they are. It makes missing
//! tables when a range is prepared, out of frames that were all allocated beforehand, and frees
//! them when the last page of the heap is gone from them. Entries of the heap carry [`MARK`], so
//! the kernel's tables are used and never freed, even when they are empty; and the entry of a
//! Prepared page is not zero, so a kernel that tidies its tables takes none from the heap.
//!
//! Pages are present, writable, never executable, not global, and for the kernel alone.
//! `Translate` returns frame 0 for a Prepared page, because the `x86_64` crate takes every entry
//! that is not zero for a mapping.
//!
//! # Limits
//! - Four levels of tables (48-bit addresses).
//! - One set of tables for the windows: a kernel with an address space for each process links the
//!   level-3 tables of the windows into all of them before `init`, and they stay the kernel's.
//! - A kernel that maps pages of its own under a table that the machine made keeps that table
//!   alive, and counted as the machine's. Its own `clean_up` must then not free it.
//! - Two machines over one mapper (two heaps) have their windows in different 512 GiB, so that they
//!   share no table that one of them made; else either may free it, and their counts are off.
//! - `RecursivePageTable` cannot serve, because it only reaches frames that are tables already.
//! - [`MAX_WINDOWS`] ranges that do not touch each other.
#![no_std]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("archipelago-x86_64 is for 64-bit targets");

mod entry;
mod kernel;
mod mode;
mod tables;
mod tlb;

pub use archipelago_api::context::{
    Context, HandlerDepth, HandlerGuard, Handlers, HandlersOf, Ordinary, PerCpu,
};
pub use archipelago_api::kernels::{Cpus, Interrupts, Threads};
pub use archipelago_api::{
    AllocFlags, CpuId, Fault, InterruptState, Kernel, PhysAddr, Reentry, Report, VirtAddr,
    VirtRange,
};
pub use archipelago_paging::{AdjacentFrames, Locked, MAX_WINDOWS, Owned, Relax, Tlb};
pub use entry::{Entries, MARK};
pub use kernel::{CpuInterrupts, MultiCpu, MultiCpuThreads, SingleCpu, SingleCpuThreads};
pub use mode::{CrateFrames, FourLevel, GEOMETRY};
pub use tables::PageTables;
pub use tlb::LocalTlb;

/// The machine of an x86_64 kernel: its mapper `P` and its frame allocator `F`, under the locks
/// `L`, with `T` for TLB maintenance. The [crate's page](crate) shows how a kernel plugs it in, and
/// [`FourLevel`] says how the CPU must be set up.
pub type Paging<P, F, L = Owned<P, F>, T = LocalTlb> =
    archipelago_paging::Paging<FourLevel, P, F, L, T>;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
