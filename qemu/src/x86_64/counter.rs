//! Counting instructions.

/// A counter of instructions: under QEMU's `-icount shift=0` an instruction takes a nanosecond, and
/// a nanosecond a tick of the time-stamp counter.
#[inline]
#[must_use]
pub fn instructions() -> u64 {
    // SAFETY: every x86_64 processor has the instruction, and the kernel runs where nothing forbids
    // it.
    unsafe { core::arch::x86_64::_rdtsc() }
}
