//! The PC: how a kernel starts on it, and what it gives the kernel.

mod boot;
mod counter;
mod descriptors;
mod entry;
mod exit;
mod fault;
mod frames;
mod heap;
mod interrupts;
mod paging;
mod probe;
mod serial;
mod start_info;
mod trap;

pub use boot::Boot;
pub(crate) use boot::start;
pub use counter::{count_instructions, instructions};
pub use exit::exit;
pub use fault::Fault;
pub use heap::{
    HEAP_WINDOW, HeapMachine, KernelHeap, Memory, Running, machine, memory_is_busy, share_memory,
    start_heap,
};
pub use interrupts::{enable_interrupts, start_timer};
pub use paging::{PHYSMAP_BASE, PHYSMAP_BYTES, physmap};
pub use probe::{probe_execute, probe_read, probe_write};
pub(crate) use serial::seize as seize_console;
pub use serial::write as write_console;
pub use start_info::{MemoryKind, MemoryRegion, Module, StartInfo, StartInfoError};
pub use trap::{on_interrupt, on_timer, raise_interrupt};
