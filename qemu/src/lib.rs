//! Code that all kernels share: the way into Rust, the console, fault reports and probes,
//! interrupts, the machine's memory map, frames, the heap, and the protocol that the harness reads.
//!
//! A kernel is a file in `src/bin` that names its first function with [`entry!`] and receives a
//! [`Boot`]: the page tables, the frames and the boot loader's information. It ends with
//! [`protocol::run`], or [`exit`] where it has no tests of its own.
//!
//! Each machine has a module, and all of them export the same names. The kernels use those names,
//! so one source of a kernel serves all machines that it runs on. Modules name each other by their
//! paths; the names that this file exports are for kernels.
#![no_std]
// Assembly for it is not stable.
#![cfg_attr(machine = "mips", feature(asm_experimental_arch))]

#[cfg(feature = "scannable")]
extern crate alloc;
// A heap that is measured with one of its parts replaced.
#[cfg(any(feature = "flat-bits", feature = "flat-index"))]
extern crate archipelago_inside as archipelago;

// First, so that the other modules have its macros.
#[macro_use]
mod console;

mod account;
pub mod block;
mod boot;
mod counter;
#[cfg(smp)]
mod cpus;
mod fault;
mod frames;
mod handlers;
mod heap;
mod info;
#[cfg(debug_assertions)]
#[doc(hidden)]
pub mod instances;
#[cfg(mmu)]
mod mapping;
mod memory;
#[cfg(mmu)]
mod mmu;
#[cfg(mmu)]
mod probe;
pub mod protocol;
mod report;
#[cfg(feature = "scannable")]
pub mod scannable;
mod shared;
mod target;
mod verdict;
mod windows;

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
pub use heap::{KernelHeap, Running, start_heap};
pub use info::{BootInfo, BootInfoError};
pub use memory::{MemoryKind, MemoryRegion, Module, PhysRange};
pub use report::stop;
pub use shared::{Memory, memory_is_busy, share_memory};
pub use target::{Churn, Plain};
pub use verdict::Verdict;
pub use windows::{ScannablePlace, usable};

// On every machine.
pub use machine::{
    Cause, FRAME_BYTES, Frames, HEAP_WINDOW, HeapMachine, Mapper, SECOND_WINDOW, SingleCpu,
    enable_interrupts, exit, instructions, physmap, raise_interrupt,
};
// On machines with an MMU.
#[cfg(mmu)]
pub use machine::{
    BEYOND, BOTTOM_WINDOW, CODE_IS_READ_ONLY, FREE_PAGE, HAS_EXECUTE_NEVER, MORE_WINDOWS, MultiCpu,
    NOT_ADDRESSES, NOT_MAPPED, OCCUPIED, RETURN, SingleCpuThreads, TOP_WINDOW, USER_CAN_TOUCH,
    WINDOWS_UNDER_TEST, holding_machine, map, translate, unmap,
};
#[cfg(mmu)]
pub use mapping::{Permissions, Translation};
#[cfg(mmu)]
pub use mmu::{SCANNABLE_PLACES, machine, machine_without_invalidation};
#[cfg(mmu)]
pub use probe::{probe_execute, probe_read, probe_write};
#[cfg(mmu)]
pub use windows::BYTES_UNDER_TEST;

// On machines without one.
#[cfg(not(mmu))]
pub use machine::{Bank, Board, SCANNABLE_PLACES, THIRD_WINDOW, machine, static_memory};

// On machines of several CPUs.
#[cfg(smp)]
pub use console::try_write as try_write_console;
#[cfg(smp)]
pub use cpus::MOST_CPUS;
#[cfg(smp)]
pub use handlers::start_cpu_timer;
#[cfg(smp)]
pub use machine::{
    MultiCpuThreads, current_cpu, current_thread, first_frame, is_cpu_on, set_current_thread,
    start_cpu, stop_this_cpu, switch_stacks, wait_for_interrupt,
};

// For the tutorial's kernels, and for shoot-downs.
#[cfg(machine = "x86_64")]
pub use handlers::on_other_cpu;
#[cfg(machine = "x86_64")]
pub use machine::{PHYSMAP_BASE, interrupt_other_cpus};
