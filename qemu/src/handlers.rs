//! Interrupts: what runs when they come, and keeping them away.

use archipelago_api::{InterruptState, Kernel};
use spin::Once;

use crate::counter::INSTRUCTION_NANOSECONDS;
use crate::machine::{self, SingleCpu};

static ON_INTERRUPT: Once<fn()> = Once::new();
static ON_TIMER: Once<fn()> = Once::new();
#[cfg(machine = "x86_64")]
static ON_OTHER_CPU: Once<fn()> = Once::new();

/// Sets what [`raise_interrupt`](crate::raise_interrupt) runs; the first call decides.
pub fn on_interrupt(handler: fn()) {
    ON_INTERRUPT.call_once(|| handler);
}

/// Sets what runs, with interrupts masked, whenever the timer goes off; the first call decides.
pub fn on_timer(handler: fn()) {
    ON_TIMER.call_once(|| handler);
}

/// Sets what [`interrupt_other_cpus`](crate::interrupt_other_cpus) has them run, with interrupts
/// masked; the first call decides.
#[cfg(machine = "x86_64")]
pub fn on_other_cpu(handler: fn()) {
    ON_OTHER_CPU.call_once(|| handler);
}

/// The handler that [`on_other_cpu`] set.
#[cfg(machine = "x86_64")]
pub(crate) fn other_cpu() -> Option<fn()> {
    ON_OTHER_CPU.get().copied()
}

/// The handler that [`on_interrupt`] set.
pub(crate) fn interrupt() -> Option<fn()> {
    ON_INTERRUPT.get().copied()
}

/// The handler that [`on_timer`] set.
pub(crate) fn timer() -> Option<fn()> {
    ON_TIMER.get().copied()
}

/// Makes the timer interrupt about every so many instructions, as far as virtual time follows them,
/// and run the handler that [`on_timer`] set. Later calls change the period.
pub fn start_timer(instructions: u32) {
    machine::start_timer(instructions.saturating_mul(INSTRUCTION_NANOSECONDS));
}

/// Makes the timer of this CPU, which each has for itself, interrupt every `nanoseconds` or so and
/// run the handler that [`on_timer`] set.
#[cfg(smp)]
pub fn start_cpu_timer(nanoseconds: u32) {
    machine::start_cpu_timer(nanoseconds);
}

/// Whether interrupts are enabled.
#[must_use]
pub fn are_interrupts_enabled() -> bool {
    <SingleCpu>::interrupts_enabled()
}

/// Masks interrupts for good, or until [`enable_interrupts`](crate::enable_interrupts).
pub fn mask_interrupts() {
    let _: InterruptState = <SingleCpu>::disable_interrupts();
}

/// Runs `work` with interrupts masked.
pub fn without_interrupts<R>(work: impl FnOnce() -> R) -> R {
    let state = <SingleCpu>::disable_interrupts();
    let result = work();
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { <SingleCpu>::restore_interrupts(state) };
    result
}
