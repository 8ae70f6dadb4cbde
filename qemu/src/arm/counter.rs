//! Counting instructions.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// The event that the counter counts: an instruction executed (INST_RETIRED).
const INSTRUCTION: u32 = 8;

/// The counter when it was read last, in 64 bits.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Has the first event counter count instructions, from now on.
pub(super) fn start() {
    // SAFETY: PMSELR selects the first event counter, which every performance monitor has.
    unsafe { asm!("mcr p15, 0, {}, c9, c12, 5", in(reg) 0, options(nostack, preserves_flags)) };
    // SAFETY: PMXEVTYPER: the event.
    unsafe {
        asm!("mcr p15, 0, {}, c9, c13, 1", in(reg) INSTRUCTION, options(nostack, preserves_flags));
    };
    // SAFETY: PMCNTENSET: that counter.
    unsafe { asm!("mcr p15, 0, {}, c9, c12, 1", in(reg) 1, options(nostack, preserves_flags)) };
    // SAFETY: PMCR.E: all counters that are enabled.
    unsafe { asm!("mcr p15, 0, {}, c9, c12, 0", in(reg) 1, options(nostack, preserves_flags)) };
}

/// A counter of instructions under QEMU's `-icount`; elsewhere it may stand still. The processor's
/// has 32 bits: it is widened here, and must be read once while it goes round.
#[inline]
#[must_use]
pub fn instructions() -> u64 {
    let last = LAST.load(Ordering::Relaxed);
    let count: u32;
    // SAFETY: PMXEVCNTR, of the counter that `start` selected.
    unsafe {
        asm!("mrc p15, 0, {}, c9, c13, 2", out(reg) count, options(nostack, preserves_flags))
    };
    // The distance of the counter from its last value, which is the low half of `last`.
    let last_count = u32::try_from(last & u64::from(u32::MAX)).expect("masked");
    let now = last + u64::from(count.wrapping_sub(last_count));
    // A handler that reads it in between stores a smaller number than this one, or is overwritten.
    LAST.store(now, Ordering::Relaxed);
    now
}
