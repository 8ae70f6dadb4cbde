//! The Malta board: how a kernel starts, and the names that it takes from the machine. One source
//! serves both byte orders.

mod addresses;
mod boot;
mod console;
mod counter;
mod cp0;
mod entry;
mod exit;
mod fault;
mod frame;
mod heap;
mod interrupts;
mod kseg0;
mod mapping;
mod probe;
mod stack;
mod trap;

pub(crate) use console::Console;

pub use addresses::{
    BEYOND, BOTTOM_WINDOW, CODE_IS_READ_ONLY, FREE_PAGE, HAS_EXECUTE_NEVER, HEAP_WINDOW,
    MORE_WINDOWS, NOT_ADDRESSES, NOT_MAPPED, OCCUPIED, SECOND_WINDOW, TOP_WINDOW, USER_CAN_TOUCH,
    WINDOWS_UNDER_TEST,
};
pub use archipelago_mips::{MultiCpu, SingleCpu, SingleCpuThreads};
pub use counter::instructions;
pub use exit::exit;
pub use fault::Cause;
pub use heap::{Frames, HeapMachine, Mapper, holding_machine};
pub use interrupts::enable_interrupts;
pub(crate) use interrupts::start_timer;
pub use kseg0::physmap;
pub use mapping::{map, translate, unmap};
pub use probe::RETURN;
pub(crate) use probe::fetch_anew;
pub use trap::raise_interrupt;

/// Bytes of a frame.
pub const FRAME_BYTES: usize = 4096;
