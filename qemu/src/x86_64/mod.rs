//! The PC: how a kernel starts, and the names that it takes from the machine.

mod addresses;
mod apic;
mod boot;
mod console;
mod counter;
mod descriptors;
mod entry;
mod exit;
mod fault;
mod frame;
mod frames;
mod heap;
mod interrupts;
mod mapping;
mod other_cpus;
mod paging;
mod probe;
mod start_info;
mod switch;
mod trap;

pub(crate) use boot::start;
pub(crate) use console::Console;

pub use addresses::{
    BEYOND, BOTTOM_WINDOW, CODE_IS_READ_ONLY, FREE_PAGE, HAS_EXECUTE_NEVER, MORE_WINDOWS,
    NOT_ADDRESSES, NOT_MAPPED, OCCUPIED, TOP_WINDOW, USER_CAN_TOUCH, WINDOWS_UNDER_TEST,
};
pub use apic::current_cpu;
pub(crate) use apic::start_cpu_timer;
pub use archipelago_x86_64::{MultiCpu, MultiCpuThreads, SingleCpu, SingleCpuThreads};
pub use counter::instructions;
pub use exit::exit;
pub use fault::Cause;
pub use heap::{Frames, HEAP_WINDOW, HeapMachine, Mapper, SECOND_WINDOW, holding_machine};
pub(crate) use interrupts::start_timer;
pub use interrupts::{enable_interrupts, wait_for_interrupt};
pub use mapping::{map, translate, unmap};
pub use other_cpus::{interrupt_other_cpus, is_cpu_on, start_cpu, stop_this_cpu};
pub use paging::{PHYSMAP_BASE, physmap};
pub use probe::RETURN;
pub(crate) use probe::fetch_anew;
pub use switch::{current_thread, first_frame, set_current_thread, switch_stacks};
pub use trap::raise_interrupt;

/// Bytes of a frame.
pub const FRAME_BYTES: usize = 4096;
