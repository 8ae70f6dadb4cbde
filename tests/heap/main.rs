//! The heap on simulated machines, one module for each promise.
//!
//! All modules are one program, so that the compiler instantiates the heap once for them. Tests
//! that need a program of their own are beside this folder: the model, which runs for any length of
//! time, `global_alloc`, which replaces the program's allocator, and tests of figures, which depend
//! on where the host places their memory.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

extern crate alloc;

#[cfg(all(target_os = "linux", not(miri)))]
mod adjacent_windows;
mod ahead;
mod bad_input;
mod cpus;
mod elsewhere;
mod history;
mod interface;
mod interrupts;
mod lookups;
mod one_cpu;
mod preemption;
mod reclaim;
mod refusals;
mod regression;
#[cfg(target_pointer_width = "64")]
mod reserve_size;
#[cfg(target_pointer_width = "64")]
mod scavenged;
mod steps;
mod unlocked_calls;
