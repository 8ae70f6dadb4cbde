//! What every test kernel shares: the way into Rust, the console, fault reports and probes,
//! interrupts, the machine's memory map, frames, the heap on all that, and the protocol the harness
//! reads.
//!
//! A kernel is a file in `src/bin` that names its first function with [`entry!`] and receives a
//! [`Boot`]: the mapper, the frames and what the boot loader said. It ends with
//! [`protocol::run`], or [`exit`] where it has no tests of its own.
#![no_std]

mod account;
mod frames;
pub mod protocol;
mod report;

#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use account::{Account, Imbalance};
pub use frames::{FILL, FRAME_BYTES, FramePool, FramePoolError, Refusal};
pub use report::stop;

#[cfg(target_arch = "x86_64")]
pub use self::x86_64::{
    Boot, Fault, HEAP_WINDOW, HeapMachine, KernelHeap, Memory, MemoryKind, MemoryRegion, Module,
    PHYSMAP_BASE, PHYSMAP_BYTES, Running, StartInfo, StartInfoError, count_instructions,
    enable_interrupts, exit, instructions, machine, memory_is_busy, on_interrupt, on_timer,
    physmap, probe_execute, probe_read, probe_write, raise_interrupt, share_memory, start_heap,
    start_timer, write_console,
};

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

/// A range of physical memory, in bytes; `end` is the first byte after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhysRange {
    /// The first byte.
    pub start: u64,
    /// The first byte after the range.
    pub end: u64,
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
