//! Interrupts from devices, all of which are masked but for the processor's own timer once it is
//! started.

use core::sync::atomic::{AtomicU32, Ordering};

use super::counter::COUNT_NANOSECONDS;
use super::cp0;
use crate::handlers::without_interrupts;

/// Status.IM7 and Cause.IP7: the timer's line.
const TIMER_LINE: u32 = 1 << 15;

/// Status.IE.
const ENABLED: u32 = 1;

/// Steps of Count from the end of one interrupt to the next.
static PERIOD: AtomicU32 = AtomicU32::new(u32::MAX);

/// Unmasks interrupts, of which there are none until [`start_timer`](crate::start_timer).
pub fn enable_interrupts() {
    // SAFETY: the general vector handles the interrupt that is unmasked, if any: the timer's.
    unsafe { cp0::set_status(cp0::status() | ENABLED) };
}

/// Makes the timer interrupt `nanoseconds` from now, and as long after each of its interrupts has
/// been handled.
pub(crate) fn start_timer(nanoseconds: u32) {
    without_interrupts(|| {
        let steps = nanoseconds / COUNT_NANOSECONDS;
        PERIOD.store(steps.max(1), Ordering::Relaxed);
        restart_timer();
        // SAFETY: the general vector handles the timer's interrupts.
        unsafe { cp0::set_status(cp0::status() | TIMER_LINE) };
    });
}

/// Whether the timer is among the causes of an exception.
pub(super) fn timer_is_due(cause: usize) -> bool {
    cause & TIMER_LINE as usize != 0
}

/// Lowers the timer's line until a period from now.
pub(super) fn restart_timer() {
    let next = cp0::count().wrapping_add(PERIOD.load(Ordering::Relaxed));
    // SAFETY: where the line is unmasked, its interrupts are handled: `start_timer` unmasks it.
    unsafe { cp0::set_compare(next) };
}
