//! A heap for kernels, hypervisors, unikernels and firmware.
#![no_std]

#[cfg(not(loom))]
mod arena;
mod base;
#[cfg(not(loom))]
mod page;
#[cfg(not(loom))]
mod region;
#[cfg(not(loom))]
mod span;

#[cfg(not(loom))]
pub use archipelago_api::{AllocFlags, Kernel, Machine, VirtAddr, VirtRange};
#[cfg(not(loom))]
pub use region::{Cause, Purpose};
