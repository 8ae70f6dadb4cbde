//! Counting instructions.

use crate::instructions;

/// Instructions that `work` takes, and its answer. Under QEMU's `-icount` with the machine's shift,
/// where virtual time follows the instructions, they are exact to what the machine's counter can
/// tell apart; elsewhere the number means nothing.
#[inline(never)]
pub fn count_instructions<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let start = instructions();
    let answer = work();
    (instructions().wrapping_sub(start), answer)
}
