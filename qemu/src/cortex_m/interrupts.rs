//! The system timer, and the interrupt that software raises.

use cortex_m::interrupt;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;

use crate::handlers::{self, are_interrupts_enabled, without_interrupts};

/// Nanoseconds of a tick.
const TICK: u32 = 40;

/// Unmasks interrupts, of which there are none until the timer is started.
pub fn enable_interrupts() {
    // SAFETY: the only handler that can run is the one below, which masks interrupts for the
    // functions that it calls.
    unsafe { interrupt::enable() };
}

/// Makes the timer interrupt every `nanoseconds`, as nearly as it can: a tick is 40 of them, and a
/// period has 2 to 2^24 ticks.
pub(crate) fn start_timer(nanoseconds: u32) {
    let ticks = (nanoseconds / TICK).clamp(2, 1 << 24);
    without_interrupts(|| {
        // SAFETY: nothing else in the kernel uses the timer, and interrupts are masked.
        let mut peripherals = unsafe { cortex_m::Peripherals::steal() };
        let timer: &mut SYST = &mut peripherals.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(ticks - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
    });
}

#[exception]
fn SysTick() {
    if let Some(handler) = handlers::timer() {
        without_interrupts(handler);
    }
}

/// Interrupts the caller and runs what [`on_interrupt`](crate::on_interrupt) set. Where interrupts
/// are masked, this processor would make a fault of it: then it is called.
pub fn raise_interrupt() {
    if are_interrupts_enabled() {
        // SAFETY: the handler, below, keeps to the calling convention of exceptions, which restores
        // every register.
        unsafe { core::arch::asm!("svc 0") };
    } else if let Some(handler) = handlers::interrupt() {
        handler();
    }
}

#[exception]
fn SVCall() {
    if let Some(handler) = handlers::interrupt() {
        without_interrupts(handler);
    }
}
