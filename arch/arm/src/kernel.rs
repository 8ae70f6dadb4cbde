//! The kernels of this machine: the ready-made ones, with its way of masking interrupts.

use archipelago_api::context::Ordinary;
#[cfg(doc)]
use archipelago_api::kernels;
use archipelago_api::kernels::{OneCpu, OneForEach, ReadyMade};

/// For one CPU whose kernel switches threads only where they ask for it, if it has any; see
/// [`kernels::SingleCpu`]. `C` says which flags requests through `GlobalAlloc` have.
pub type SingleCpu<C = Ordinary> = ReadyMade<CpuInterrupts, OneCpu, OneForEach<OneCpu>, C>;

/// For one CPU whose kernel switches the threads `T` in interrupts; see
/// [`kernels::SingleCpuThreads`].
pub type SingleCpuThreads<T, C = Ordinary> = ReadyMade<CpuInterrupts, OneCpu, T, C>;

/// For several CPUs `P` whose kernel switches threads only where they ask for it; see
/// [`kernels::MultiCpu`].
pub type MultiCpu<P, C = Ordinary> = ReadyMade<CpuInterrupts, P, OneForEach<P>, C>;

/// For several CPUs `P` whose kernel switches the threads `T` in interrupts; see
/// [`kernels::MultiCpuThreads`].
pub type MultiCpuThreads<P, T, C = Ordinary> = ReadyMade<CpuInterrupts, P, T, C>;

/// Interrupts (IRQ) of this CPU, masked with `cpsid i` and `cpsie i`. Fast interrupts (FIQ) stay as
/// they are: a handler of those must not call the heap.
#[derive(Debug)]
pub enum CpuInterrupts {}

#[cfg(any(target_arch = "arm", doc))]
mod interrupts {
    use core::arch::asm;

    use archipelago_api::InterruptState;
    use archipelago_api::kernels::Interrupts;

    use super::CpuInterrupts;

    /// CPSR.I: interrupts are masked.
    const MASKED: u32 = 1 << 7;

    #[inline]
    fn are_masked() -> bool {
        let cpsr: u32;
        // SAFETY: reading the status register changes nothing. Without `nomem`, so that accesses
        // that rely on masked interrupts stay after the read.
        unsafe { asm!("mrs {}, cpsr", out(reg) cpsr, options(nostack, preserves_flags)) };
        cpsr & MASKED != 0
    }

    impl Interrupts for CpuInterrupts {
        #[inline]
        fn disable() -> InterruptState {
            if are_masked() {
                return InterruptState::Masked;
            }
            // SAFETY: a kernel may mask interrupts.
            unsafe { asm!("cpsid i", options(nostack, preserves_flags)) };
            InterruptState::Enabled
        }

        #[inline]
        unsafe fn restore(state: InterruptState) {
            if state == InterruptState::Enabled {
                // SAFETY: interrupts were enabled when `disable` masked them.
                unsafe { asm!("cpsie i", options(nostack, preserves_flags)) };
            }
        }

        #[inline]
        fn are_enabled() -> bool {
            !are_masked()
        }
    }
}
