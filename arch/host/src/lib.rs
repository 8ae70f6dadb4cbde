//! The `archipelago` heap in programs of an operating system.
//!
//! [`HostHeap`] is the allocator of an ordinary program, in three lines. It takes address space
//! from the operating system when it is first used, and memory as it is needed:
//!
//! ```
//! use archipelago_host::HostHeap;
//!
//! #[global_allocator]
//! static HEAP: HostHeap = HostHeap::new();
//!
//! let squares: Vec<u64> = (0..1000).map(|number| number * number).collect();
//! assert_eq!(squares[999], 998_001);
//! assert!(HEAP.stats().live_bytes >= 8000);
//! assert_eq!(HEAP.verify(), Ok(()));
//! ```
//!
//! It serves unit tests of kernels on the development machine, and measurements. A test of code
//! that names its heap takes [`Host`] and [`HostKernel`] in place of the kernel's own machine, with
//! the kernel's own window:
//!
//! ```
//! use archipelago_host::{AllocFlags, Heap, Host, HostKernel, Window};
//!
//! let heap: Heap<Host, HostKernel> = Heap::new();
//! # #[cfg(target_pointer_width = "64")]
//! heap.init(&[Window::new(0x4444_4444_0000, 64 << 20)], Host::new()?)?;
//! # #[cfg(not(target_pointer_width = "64"))]
//! # heap.init(&[Window::new(0x4444_0000, 64 << 20)], Host::new()?)?;
//!
//! let mut stack = heap.pages().allocate(4, 16 << 10, AllocFlags::ZEROED)?;
//! stack.extend(2, AllocFlags::empty())?;
//! assert_eq!(stack.as_ptr().addr().get() % (16 << 10), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The machine
//! [`Host`] moves ranges between the states by `mmap`, `mprotect` and `madvise`. A range that is
//! Reserved or Prepared is inaccessible, so that a use of memory after it was scavenged is a fault.
//! Page tables and frames are the operating system's: nothing is counted for them, and on most
//! systems memory that is Ready gets its frames when it is first touched. What the heap may have at
//! most is set by [`Heap::set_limit`].
//!
//! # The kernel
//! On [`HostKernel`] a thread is a CPU and a thread. There are no interrupts: a signal handler must
//! not use the heap. A child that `fork` made of a process with several threads must not use it
//! either; it may only start another program, as [`std::process::Command`] does.
//!
//! # Systems
//! Linux is what the tests run on. Other Unix systems may serve, if their pages have 4 KiB or less:
//! [`Host::new`] says so otherwise.

#[cfg(not(unix))]
compile_error!("archipelago-host needs a Unix system: it takes memory by `mmap`");

mod cpu;
mod error;
mod heap;
mod kernel;
mod machine;
mod mapping;
mod message;
mod reservations;

pub use archipelago::{AllocFlags, Heap, Stats, Window};
pub use archipelago_api::{CpuId, CpuSlot, Fault, InterruptState, Kernel, Reentry, Report};
pub use error::HostError;
pub use heap::HostHeap;
pub use kernel::HostKernel;
pub use machine::Host;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
