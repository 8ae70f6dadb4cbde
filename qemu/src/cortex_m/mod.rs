//! Cortex-M3, QEMU's `mps2-an385` board: how a kernel starts on it, and what it gives the kernel.
//! There is no MMU: what other machines call frames are granules of the board's banks of RAM.

mod banks;
mod boot;
mod console;
mod counter;
mod fault;
mod heap;
mod interrupts;
mod windows;

pub(crate) use console::Console;

pub use archipelago_cortex_m::SingleCpu;
pub use banks::{Bank, Banks as Frames, physmap, static_memory};
pub use counter::instructions;
pub use fault::Cause;
pub use heap::{Board, HeapMachine, SCANNABLE_PLACES, machine};
pub(crate) use interrupts::start_timer;
pub use interrupts::{enable_interrupts, raise_interrupt};
pub use windows::{HEAP_WINDOW, SECOND_WINDOW, THIRD_WINDOW};

use crate::verdict::Verdict;

/// There are no page tables.
#[derive(Debug)]
pub struct Mapper;

/// Bytes of a frame: a granule.
pub const FRAME_BYTES: usize = 1024;

/// Ends QEMU with the verdict's exit code, by semihosting. Under anything but QEMU, the breakpoint
/// is nobody's, and reported.
pub fn exit(verdict: Verdict) -> ! {
    let code = i32::try_from(verdict.exit_code()).expect("exit codes are small");
    semihosting::process::exit(code)
}
