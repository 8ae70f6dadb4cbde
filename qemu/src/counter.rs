//! Counting instructions.

use crate::machine::instructions;

/// Nanoseconds of virtual time that an instruction takes where instructions are counted.
pub(crate) const INSTRUCTION_NANOSECONDS: u32 = 1 << icount_shift();

/// The shift of QEMU's `-icount` with which the harness boots the machine.
const fn icount_shift() -> u32 {
    match u32::from_str_radix(env!("MACHINE_ICOUNT_SHIFT"), 10) {
        Ok(shift) => shift,
        Err(_) => panic!("the build script writes decimal digits"),
    }
}

/// The number of instructions that `work` takes, and its result. Under QEMU's `-icount`, where
/// virtual time follows the instructions, the number is as exact as the machine's counter;
/// elsewhere it means nothing.
#[inline(never)]
pub fn count_instructions<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let start = instructions();
    let result = work();
    (instructions().wrapping_sub(start), result)
}
