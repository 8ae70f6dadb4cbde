//! A heap for kernels, hypervisors, unikernels and firmware.
#![no_std]

mod base;
#[cfg(not(loom))]
mod region;

#[cfg(not(loom))]
pub use archipelago_api::{AllocFlags, Kernel, Machine, VirtAddr, VirtRange};
#[cfg(not(loom))]
pub use region::{Cause, Purpose};
