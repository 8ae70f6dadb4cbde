//! A machine made of ordinary memory: the heap's tests run on it, against any geometry, on any
//! host.
//!
//! [`Sim`] is a [`Machine`](archipelago_api::Machine) that checks every call. It follows each
//! granule through the memory states and panics at the first call that breaks the contract, with a
//! message that names call, range and state; it models page tables and the frame allocator, so that
//! every frame is accounted for; a test can make it fail or be busy; and on Linux it traps every
//! touch of memory that is not Ready.
//!
//! Simulated addresses are biased: the window at address 0 of a 31-bit space lies anywhere in the
//! host's memory, at the same distance from a multiple of 256 MiB (of 32 MiB on hosts with 32
//! bits), or of an arena if that is more. So an address keeps its alignment up to that much. Larger
//! alignments are not for this machine: where an address has one, its pointer need not.
//!
//! [`Hosted`] is the [`Kernel`](archipelago_api::Kernel) that goes with it.

extern crate alloc;

mod builder;
mod calls;
mod conformance;
mod flight;
mod frames;
mod geometry;
mod host;
mod hosted;
mod inject;
mod machine;
mod shared;
mod sim;
mod states;
mod tables;
mod violation;
mod window;

pub use builder::Builder;
pub use calls::{Call, Calls, Kind};
pub use flight::Held;
#[cfg(target_pointer_width = "64")]
pub use geometry::X86_64;
pub use geometry::{Plain31, Plain32, SimGeometry, Small, SmallFixed, Top30, WidePage};
pub use hosted::{Hosted, HostedCpus};
pub use inject::Mode;
pub use sim::Sim;
pub use states::State;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
