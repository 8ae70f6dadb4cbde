//! The clock of single calls: the processor's counter where there is one, else the system's clock.

use core::time::Duration;
use std::thread;
use std::time::Instant;

/// A moment, in ticks.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn now() -> u64 {
    use core::arch::x86_64::{_mm_lfence, _rdtsc};

    // What comes before has ended, and what comes after has not begun.
    // SAFETY: every x86_64 has the instruction.
    unsafe { _mm_lfence() };
    // SAFETY: as above.
    let ticks = unsafe { _rdtsc() };
    // SAFETY: as above.
    unsafe { _mm_lfence() };
    ticks
}

/// A moment, in ticks.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn now() -> u64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The clock, calibrated.
pub(crate) struct Clock {
    /// Ticks between two readings with nothing between them.
    own: u64,
    nanoseconds_per_tick: f64,
}

/// Readings from which the clock's own cost is taken.
const READINGS: usize = 100_001;

impl Clock {
    /// Measures the length of a tick, and what reading the clock takes.
    pub(crate) fn calibrated() -> Self {
        let (start, first) = (Instant::now(), now());
        thread::sleep(Duration::from_millis(100));
        let (elapsed, last) = (start.elapsed(), now());
        let reading = |_| {
            let before = now();
            now() - before
        };
        let mut readings: Vec<_> = (0..READINGS).map(reading).collect();
        readings.sort_unstable();
        Self {
            own: readings[READINGS / 2],
            nanoseconds_per_tick: elapsed.as_secs_f64() * 1e9 / float(last - first),
        }
    }

    /// Nanoseconds between two moments, without what the clock takes.
    pub(crate) fn between(&self, before: u64, after: u64) -> f32 {
        let ticks = (after - before).saturating_sub(self.own);
        single(float(ticks) * self.nanoseconds_per_tick)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ticks of a call are far below 2^52"
)]
fn float(ticks: u64) -> f64 {
    ticks as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seven digits are more than a clock has"
)]
fn single(nanoseconds: f64) -> f32 {
    nanoseconds as f32
}
