//! What every test kernel shares: the way into Rust, the console, fault reports and probes,
//! interrupts, the machine's memory map, frames, the heap on all that, and the protocol the harness
//! reads.
//!
//! A kernel is a file in `src/bin` that names its first function with [`entry!`] and receives a
//! [`Boot`]: the page tables, the frames and what the boot loader said. It ends with
//! [`protocol::run`], or [`exit`] where it has no tests of its own.
//!
//! What depends on the machine is in a module for each, which answers to the same names; the
//! kernels use those names, and each of them is one source for all machines that it runs on.
#![no_std]
// Assembly for it is not stable.
#![cfg_attr(machine = "mips", feature(asm_experimental_arch))]

#[cfg(feature = "scannable")]
extern crate alloc;

mod account;
pub mod block;
mod boot;
mod console;
mod counter;
mod fault;
mod frames;
mod handlers;
mod heap;
mod info;
#[cfg(debug_assertions)]
#[doc(hidden)]
pub mod instances;
#[cfg(mmu)]
mod paged;
mod places;
#[cfg(mmu)]
mod probe;
pub mod protocol;
mod report;
#[cfg(feature = "scannable")]
pub mod scannable;
mod target;

#[cfg(machine = "mips")]
#[path = "mips/mod.rs"]
mod machine;
#[cfg(machine = "x86_64")]
#[path = "x86_64/mod.rs"]
mod machine;
#[cfg(machine = "arm")]
#[path = "arm/mod.rs"]
mod machine;
#[cfg(machine = "cortex_m")]
#[path = "cortex_m/mod.rs"]
mod machine;

pub use account::{Account, Imbalance};
pub use boot::Boot;
pub use console::write as write_console;
pub use counter::count_instructions;
pub use fault::{Access, Fault, Reason};
pub use frames::{FILL, FramePool, FramePoolError, Refusal, frames_are_busy};
pub use handlers::{
    are_interrupts_enabled, mask_interrupts, on_interrupt, on_timer, start_timer,
    without_interrupts,
};
pub use heap::{KernelHeap, Memory, Running, memory_is_busy, share_memory, start_heap};
pub use info::{BootInfo, BootInfoError, MemoryKind, MemoryRegion, Module};
pub use places::{ScannablePlace, usable};
pub use report::stop;
pub use target::{Churn, Plain};

// On every machine.
pub use machine::{
    Cause, FRAME_BYTES, Frames, HEAP_WINDOW, HeapMachine, Mapper, SECOND_WINDOW, SingleCpu,
    enable_interrupts, exit, instructions, physmap, raise_interrupt,
};
// Where there is an MMU.
#[cfg(mmu)]
pub use machine::{
    BEYOND, BOTTOM_WINDOW, CODE_IS_READ_ONLY, FREE_PAGE, HAS_EXECUTE_NEVER, MORE_WINDOWS,
    NOT_ADDRESSES, NOT_MAPPED, OCCUPIED, RETURN, TOP_WINDOW, USER_CAN_TOUCH, WINDOWS_UNDER_TEST,
    holding_machine, map, translate, unmap,
};
#[cfg(mmu)]
pub use paged::{SCANNABLE_PLACES, careless_machine, machine};
#[cfg(mmu)]
pub use probe::{probe_execute, probe_read, probe_write};

// Where there is none.
#[cfg(not(mmu))]
pub use machine::{Bank, Board, SCANNABLE_PLACES, THIRD_WINDOW, machine, static_memory};

// What the tutorial's kernels start with.
#[cfg(machine = "x86_64")]
pub use machine::PHYSMAP_BASE;

/// What a kernel found, as the harness reads it from QEMU's exit code. Anything else that ends
/// QEMU (a reset, a signal, a timeout) counts as a failure of the harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every test passed.
    Pass,
    /// A test failed, or the kernel stopped itself.
    Fail,
}

impl Verdict {
    /// QEMU's exit code. Not 0, which is also what a machine that resets itself ends with.
    #[must_use]
    pub const fn exit_code(self) -> u32 {
        match self {
            Self::Pass => 33,
            Self::Fail => 35,
        }
    }
}

/// Bytes of each of [`WINDOWS_UNDER_TEST`]: more than the conformance suite asks for, and over the
/// end of a last-level table wherever a window begins just below one.
#[cfg(mmu)]
pub const BYTES_UNDER_TEST: usize = 64 * FRAME_BYTES;

/// A range of physical memory, in bytes; `end` is the first byte after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhysRange {
    /// The first byte.
    pub start: u64,
    /// The first byte after the range.
    pub end: u64,
}

impl PhysRange {
    /// No memory.
    pub const EMPTY: Self = Self { start: 0, end: 0 };
}

/// How a page is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// It can be written.
    pub writable: bool,
    /// It can be executed. Where the processor cannot forbid that, it always can.
    pub executable: bool,
}

/// What a page is translated to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The physical address of its frame.
    pub frame: u64,
    /// How it is mapped, for the kernel.
    pub permissions: Permissions,
    /// Whether user programs can touch it.
    pub user: bool,
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::write_console(::core::format_args!($($argument)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => {
        $crate::write_console(::core::format_args!("{}\n", ::core::format_args!($($argument)*)))
    };
}

/// Names the kernel's first function, a `fn(Boot) -> !`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn kernel_main(boot: $crate::Boot) -> ! {
            let main: fn($crate::Boot) -> ! = $main;
            main(boot)
        }
    };
}
