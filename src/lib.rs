//! A heap for kernels, hypervisors, unikernels and firmware.
//!
//! It keeps address space apart from memory. The kernel gives it [`Window`]s of address space and a
//! [`Machine`]: a mapper and a frame allocator. The heap grows out of the windows arena by arena,
//! finds every object through a sparse index, makes every byte behind it Ready by name, metadata
//! included, and gives memory back when it is asked to.
//!
//! ```
//! use archipelago::{AllocFlags, Cause, Heap, Window};
//! use archipelago_sim::{Hosted, Plain32, Sim};
//! use core::alloc::Layout;
//!
//! // On metal: a machine crate in place of the simulated machine, and `#[global_allocator]`.
//! static HEAP: Heap<Sim<Plain32>, Hosted> = Heap::new();
//!
//! let machine = Sim::builder().frames(100).build();
//! HEAP.init(&[Window::new(0x4000_0000, 64 << 20)], machine)?;
//!
//! let layout = Layout::new::<[u64; 100]>();
//! let memory = HEAP.allocate(layout, AllocFlags::ZEROED)?;
//! // It was allocated by this heap with this layout, and nobody uses it any more.
//! unsafe { HEAP.deallocate(memory.cast(), layout) };
//!
//! // Out of memory is an error that says which step refused, with figures.
//! let refused = HEAP.allocate(Layout::new::<[u8; 1 << 20]>(), AllocFlags::empty()).unwrap_err();
//! assert!(matches!(refused.cause, Cause::Frames { needed: 256, .. }));
//!
//! let stats = HEAP.stats();
//! assert_eq!(stats.sum(), stats.mapped_ready);
//! HEAP.verify()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Requests
//!
//! [`Heap`] implements `GlobalAlloc`, whose requests have the flags of [`Kernel::context`].
//! [`Heap::allocate`] takes [`AllocFlags`]: `ZEROED`, `NO_GROW` (never call the machine), `ATOMIC`
//! (that, and use the reserve).
//!
//! # Interrupts and locks
//!
//! The heap's locks are held with interrupts off: for a few dozen instructions, or, where pages
//! change hands, for a store a page; with `heap-bits`, the free of a scannable slot is a store for
//! every 16 or 32 words of it, and walks of the whole heap hold them throughout. The machine is
//! called with none of them held, one call at a time; with interrupts masked no request waits for
//! it. See [`Machine`] for what a mapper may do within a call.
//!
//! # Features
//!
//! - `allocator-api2`: `Allocator` for `&Heap`.
//! - `heap-bits`: which words of the heap hold pointers: the module `bits`,
//!   `Heap::allocate_scannable`, `Heap::reallocate_scannable`, `Heap::object_of`, `Heap::bits`; the
//!   crate `archipelago-derive` derives the maps of structures.
//! - `trusting`: a free of a slot in a span of the CPU's own does not check that the address is the
//!   start of a slot, nor that the slot is live. A double free of such an object is not reported,
//!   nor is a pointer into one, which frees it. All other frees are checked as before, and so are
//!   [`Heap::try_deallocate`] and changes of size. For kernels alone: a library would turn the
//!   checks off for all crates that use the heap.
#![no_std]

mod arena;
mod base;
#[cfg(any(test, feature = "heap-bits"))]
#[cfg_attr(
    not(feature = "heap-bits"),
    expect(
        dead_code,
        unused_imports,
        reason = "tested, and not used by a heap without a bitmap"
    )
)]
pub mod bits;
// A heap without a bitmap has the format alone.
#[cfg(not(any(test, feature = "heap-bits")))]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a heap without a bitmap uses the sizes alone"
)]
mod bits {
    pub(crate) mod format;
}
mod global;
mod heap;
mod inspect;
mod page;
mod pageheap;
mod region;
mod span;
#[cfg(test)]
mod testing;

#[cfg(test)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub use archipelago_api::{
    AllocFlags, CpuId, CpuSlot, Fault, InterruptState, Kernel, Machine, PhysAddr, Reentry, Report,
    SpanReport, VirtAddr, VirtRange, context, kernels,
};
pub use global::{alloc_at_once, alloc_slowly, alloc_soon, alloc_zeroed_slowly};
pub use heap::{AdjacentRun, AllocError, EarlyRegion, Heap, Missed, OwnedRun, Pages, ReallocError};
pub use inspect::{ArenaView, ChunkView, PageStats, SpanView, Stats, Violation};
#[cfg(feature = "heap-bits")]
pub use inspect::{BitsPartView, BitsView, ObjectView};
pub use pageheap::{InitError, InitFailure, Window, WindowRule};
pub use region::{Cause, Purpose};
