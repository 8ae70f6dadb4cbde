//! Interrupts from devices: the interrupt controller, all of whose lines are off but for the
//! timer's once it is started, and the timer.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::devices::{CPU_INTERFACE, DISTRIBUTOR, register};
use crate::handlers::{self, without_interrupts};
use crate::report::stop;

/// The line of the virtual timer of a CPU.
const TIMER: u32 = 27;
/// The number that the controller gives when no interrupt is pending any more.
const SPURIOUS: u32 = 1023;

// Registers of the distributor.
const ENABLE: usize = 0;
const SET_ENABLE: usize = 0x100;
const CLEAR_ENABLE: usize = 0x180;

// Registers of the interface to the CPU.
const INTERFACE_ENABLE: usize = 0;
const PRIORITY_MASK: usize = 4;
const ACKNOWLEDGE: usize = 0xc;
const END: usize = 0x10;

/// Ticks between interrupts of the timer.
static PERIOD: AtomicU64 = AtomicU64::new(0);

/// Unmasks interrupts, of which there are none until [`start_timer`](crate::start_timer).
pub fn enable_interrupts() {
    register(DISTRIBUTOR, CLEAR_ENABLE).write(u32::MAX);
    register(DISTRIBUTOR, ENABLE).write(1);
    register(CPU_INTERFACE, PRIORITY_MASK).write(0xff);
    register(CPU_INTERFACE, INTERFACE_ENABLE).write(1);
    // SAFETY: the vectors are set, and every line is off.
    unsafe { asm!("cpsie i", options(nostack, preserves_flags)) };
}

/// Lets this CPU do nothing until the next interrupt. Interrupts are enabled.
pub fn wait_for_interrupt() {
    // SAFETY: the CPU goes on at an interrupt, with what it did.
    unsafe { asm!("wfi", options(nostack, preserves_flags)) };
}

/// Makes the timer interrupt every `nanoseconds`, as nearly as it can: a tick is 16 of them on this
/// board.
pub(crate) fn start_timer(nanoseconds: u32) {
    without_interrupts(|| {
        let ticks = u64::from(nanoseconds) * u64::from(ticks_a_second()) / 1_000_000_000;
        PERIOD.store(ticks.max(1), Ordering::Relaxed);
        set_deadline(now() + ticks.max(1));
        // SAFETY: CNTV_CTL: the timer is on, and its interrupt not masked.
        unsafe { asm!("mcr p15, 0, {}, c14, c3, 1", in(reg) 1, options(nostack, preserves_flags)) };
        register(DISTRIBUTOR, SET_ENABLE).write(1 << TIMER);
    });
}

/// Makes the timer of this CPU, which has no other, interrupt every `nanoseconds`.
pub(crate) fn start_cpu_timer(nanoseconds: u32) {
    start_timer(nanoseconds);
}

/// Called by the vector's code, with interrupts masked.
pub(super) extern "C" fn handle() {
    let acknowledged = register(CPU_INTERFACE, ACKNOWLEDGE).read();
    match (acknowledged & 0x3ff, handlers::timer()) {
        (SPURIOUS, _) => (),
        (TIMER, handler) => {
            // Before the handler, which may switch threads.
            set_deadline(next_deadline());
            register(CPU_INTERFACE, END).write(acknowledged);
            if let Some(handler) = handler {
                handler();
            }
            // On whatever CPU that is: a handler that takes long leaves the code a period.
            if deadline() <= now() {
                set_deadline(next_deadline());
            }
        }
        (line, _) => stop(format_args!("unexpected interrupt {line}")),
    }
}

/// A period after the last deadline, or after now, where the handler took longer than that.
fn next_deadline() -> u64 {
    let period = PERIOD.load(Ordering::Relaxed);
    let (next, now) = (deadline() + period, now());
    if next > now { next } else { now + period }
}

/// CNTFRQ.
fn ticks_a_second() -> u32 {
    let ticks;
    // SAFETY: reading it changes nothing.
    unsafe {
        asm!("mrc p15, 0, {}, c14, c0, 0", out(reg) ticks, options(nomem, nostack, preserves_flags))
    };
    ticks
}

/// CNTVCT.
fn now() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading it changes nothing. The barrier keeps it from being read early.
    unsafe {
        asm!("isb", "mrrc p15, 1, {}, {}, c14", out(reg) low, out(reg) high, options(nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// CNTV_CVAL.
fn deadline() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading it changes nothing.
    unsafe {
        asm!("mrrc p15, 3, {}, {}, c14", out(reg) low, out(reg) high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Sets CNTV_CVAL.
fn set_deadline(ticks: u64) {
    let low = u32::try_from(ticks & u64::from(u32::MAX)).expect("masked");
    let high = u32::try_from(ticks >> 32).expect("shifted");
    // SAFETY: the timer's interrupt has its handler. The barrier: its line is down afterwards.
    unsafe {
        asm!("mcrr p15, 3, {}, {}, c14", "isb", in(reg) low, in(reg) high, options(nostack, preserves_flags))
    };
}
