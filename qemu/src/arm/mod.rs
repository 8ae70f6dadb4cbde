//! ARMv7-A, QEMU's `virt` board with a Cortex-A15: how a kernel starts, and the names that it takes
//! from the machine.

mod addresses;
mod boot;
mod console;
mod counter;
mod device_tree;
mod devices;
mod entry;
mod fault;
mod firmware;
mod frame;
mod heap;
mod interrupts;
mod mapping;
mod other_cpus;
mod paging;
mod probe;
mod switch;
mod trap;

pub(crate) use boot::start;
pub(crate) use console::Console;

pub use addresses::{
    BEYOND, BOTTOM_WINDOW, CODE_IS_READ_ONLY, FREE_PAGE, HAS_EXECUTE_NEVER, MORE_WINDOWS,
    NOT_ADDRESSES, NOT_MAPPED, OCCUPIED, TOP_WINDOW, USER_CAN_TOUCH, WINDOWS_UNDER_TEST,
};
pub use archipelago_arm::{MultiCpu, MultiCpuThreads, SingleCpu, SingleCpuThreads};
pub use counter::instructions;
pub use fault::Cause;
pub use heap::{Frames, HEAP_WINDOW, HeapMachine, Mapper, SECOND_WINDOW, holding_machine};
pub use interrupts::{enable_interrupts, wait_for_interrupt};
pub(crate) use interrupts::{start_cpu_timer, start_timer};
pub use mapping::{map, translate, unmap};
pub use other_cpus::{current_cpu, is_cpu_on, start_cpu, stop_this_cpu};
pub use paging::physmap;
pub use probe::RETURN;
pub(crate) use probe::fetch_anew;
pub use switch::{current_thread, first_frame, set_current_thread, switch_stacks};
pub use trap::raise_interrupt;

use crate::verdict::Verdict;

/// Bytes of a frame.
pub const FRAME_BYTES: usize = 4096;

/// Ends QEMU with the verdict's exit code, by semihosting. Without QEMU the trap has no handler and
/// is reported.
pub fn exit(verdict: Verdict) -> ! {
    let code = i32::try_from(verdict.exit_code()).expect("exit codes are small");
    semihosting::process::exit(code)
}
