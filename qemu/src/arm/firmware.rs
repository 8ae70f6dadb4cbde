//! Calls of the firmware, which QEMU carries out itself.

use core::arch::asm;

use smccc::Call;

/// Calls by `hvc`, in ARM state. `smccc::Hvc` is for code that keeps `r7` as its frame pointer:
/// elsewhere, as here, it may lose `r6`.
#[derive(Debug)]
pub(super) struct Hypervisor;

impl Call for Hypervisor {
    /// Makes a call with up to three arguments, the others of which are 0.
    fn call32(function: u32, args: [u32; 7]) -> [u32; 8] {
        debug_assert_eq!(args[3..], [0; 4], "three arguments at most");
        let mut results = [0; 8];
        // SAFETY: a call changes no memory of Rust's, and no registers but these: SMC Calling
        // Convention (DEN 0028), 2.5.
        unsafe {
            asm!(
                ".inst 0xe1400070", // hvc #0, which this target's assembler does not know
                inout("r0") function => results[0],
                inout("r1") args[0] => results[1],
                inout("r2") args[1] => results[2],
                inout("r3") args[2] => results[3],
                options(nostack),
            );
        }
        results
    }

    fn call64(_function: u32, _args: [u64; 17]) -> [u64; 18] {
        unreachable!("a CPU of 32 bits makes no calls of 64 bits")
    }
}
