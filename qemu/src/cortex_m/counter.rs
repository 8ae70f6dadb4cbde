//! Counting instructions: by the first of the board's timers, which counts down 25 million times a
//! second of virtual time.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use volatile_register::RW;

use crate::counter::INSTRUCTION_NANOSECONDS;
use crate::handlers::without_interrupts;

/// The timer, a CMSDK APB timer.
#[repr(C)]
struct Timer {
    control: RW<u32>,
    value: RW<u32>,
    reload: RW<u32>,
}

const TIMER: usize = 0x4000_0000;
const ENABLE: u32 = 1 << 0;

/// Nanoseconds of a tick.
const TICK: u64 = 40;

/// How far the timer had come when it was read last, and how often it had begun again.
static LAST: AtomicU32 = AtomicU32::new(0);
static ROUNDS: AtomicU32 = AtomicU32::new(0);

fn timer() -> &'static Timer {
    // SAFETY: the board has the timer there, and Rust knows of no other memory there.
    unsafe { &*core::ptr::with_exposed_provenance::<Timer>(TIMER) }
}

/// Starts the timer, which is never stopped.
pub(super) fn start() {
    // SAFETY: the timer raises no interrupt unless it is told to.
    unsafe { timer().reload.write(u32::MAX) };
    // SAFETY: the timer raises no interrupt unless it is told to.
    unsafe { timer().value.write(u32::MAX) };
    // SAFETY: `ENABLE` starts the timer and leaves its interrupt off.
    unsafe { timer().control.write(ENABLE) };
}

/// A counter of instructions, where virtual time follows them: a tick is 40 nanoseconds, an
/// instruction 32. It is widened whenever it is read, which must be once in two minutes.
#[must_use]
pub fn instructions() -> u64 {
    let ticks = without_interrupts(|| {
        let now = !timer().value.read();
        let mut rounds = ROUNDS.load(Relaxed);
        if now < LAST.load(Relaxed) {
            rounds = rounds.wrapping_add(1);
            ROUNDS.store(rounds, Relaxed);
        }
        LAST.store(now, Relaxed);
        u64::from(rounds) << u32::BITS | u64::from(now)
    });
    ticks * TICK / u64::from(INSTRUCTION_NANOSECONDS)
}
