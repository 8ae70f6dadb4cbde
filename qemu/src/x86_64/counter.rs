//! Counting instructions.

/// Instructions that `work` takes, and its answer. Exact under QEMU's `-icount shift=0`, where an
/// instruction takes a nanosecond and a tick of the time-stamp counter; elsewhere the number means
/// nothing.
#[inline(never)]
pub fn count_instructions<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let start = instructions();
    let answer = work();
    let ticks = instructions().wrapping_sub(start);
    (ticks, answer)
}

/// The counter that [`count_instructions`] reads.
#[inline]
#[must_use]
pub fn instructions() -> u64 {
    // SAFETY: every x86_64 processor has the instruction, and the kernel runs where nothing forbids
    // it.
    unsafe { core::arch::x86_64::_rdtsc() }
}
