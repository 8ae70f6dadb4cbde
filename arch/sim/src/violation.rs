//! The one place where the simulated machine panics on its caller.

use core::fmt;

/// Panics because the caller broke the contract, or because the host cannot serve the simulation.
#[expect(
    clippy::panic,
    reason = "this machine exists to stop a test at the first call that breaks the contract"
)]
#[cold]
#[track_caller]
pub(crate) fn violation(message: fmt::Arguments<'_>) -> ! {
    panic!("simulated machine: {message}")
}
