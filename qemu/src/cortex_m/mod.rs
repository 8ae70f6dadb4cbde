//! Cortex-M3, QEMU's `mps2-an385` board: how a kernel starts, and the names that it takes from the
//! machine. There is no MMU: a frame is a granule of the board's banks of RAM.

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

/// Ends QEMU with the verdict's exit code, by semihosting. Without QEMU the breakpoint has no
/// handler and is reported.
pub fn exit(verdict: Verdict) -> ! {
    let code = i32::try_from(verdict.exit_code()).expect("exit codes are small");
    semihosting::process::exit(code)
}
