//! Counting instructions with the processor's timer.

use spin::Mutex;

use super::cp0;
use crate::counter::INSTRUCTION_NANOSECONDS;
use crate::handlers::without_interrupts;

/// Nanoseconds of QEMU's clock from one step of Count to the next: two cycles at 320 MHz, rounded
/// down.
pub(super) const COUNT_NANOSECONDS: u32 = 6;

/// Steps of Count since the first reading, and the last reading.
static STEPS: Mutex<Option<(u64, u32)>> = Mutex::new(None);

/// Instructions since the first call, under QEMU's `-icount shift=3`: right to one. Count has 32
/// bits, so calls must be less than 3,000,000,000 instructions apart.
#[must_use]
pub fn instructions() -> u64 {
    without_interrupts(|| {
        let mut steps = STEPS.lock();
        let now = cp0::count();
        let (total, last) = steps.unwrap_or((0, now));
        let total = total + u64::from(now.wrapping_sub(last));
        *steps = Some((total, now));
        total * u64::from(COUNT_NANOSECONDS) / u64::from(INSTRUCTION_NANOSECONDS)
    })
}
