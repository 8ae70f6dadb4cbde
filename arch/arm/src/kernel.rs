//! The kernel of one CPU.

use core::marker::PhantomData;

use archipelago_api::context::Ordinary;

/// A kernel that runs on one CPU: masks interrupts (IRQ) with `cpsid i` and `cpsie i`, and stops
/// with a panic whose message is the report. `C` says which flags requests through `GlobalAlloc`
/// have.
///
/// Fast interrupts (FIQ) stay as they are: a handler of those must not call the heap.
#[derive(Debug)]
pub struct SingleCpu<C = Ordinary> {
    _context: PhantomData<C>,
}

#[cfg(target_arch = "arm")]
mod single_cpu {
    use core::arch::asm;

    use super::SingleCpu;
    use archipelago_api::context::Context;
    use archipelago_api::{AllocFlags, InterruptState, Kernel, Report};

    /// CPSR.I: interrupts are masked.
    const MASKED: u32 = 1 << 7;

    fn are_masked() -> bool {
        let cpsr: u32;
        // SAFETY: reading the status register changes nothing. Without `nomem`, so that accesses
        // that rely on masked interrupts stay after the read.
        unsafe { asm!("mrs {}, cpsr", out(reg) cpsr, options(nostack, preserves_flags)) };
        cpsr & MASKED != 0
    }

    impl<C: Context> Kernel for SingleCpu<C> {
        fn disable_interrupts() -> InterruptState {
            if are_masked() {
                return InterruptState::Masked;
            }
            // SAFETY: a kernel may mask interrupts.
            unsafe { asm!("cpsid i", options(nostack, preserves_flags)) };
            InterruptState::Enabled
        }

        fn restore_interrupts(state: InterruptState) {
            if state == InterruptState::Enabled {
                // SAFETY: interrupts were enabled when `disable_interrupts` masked them.
                unsafe { asm!("cpsie i", options(nostack, preserves_flags)) };
            }
        }

        fn interrupts_enabled() -> bool {
            !are_masked()
        }

        fn context() -> AllocFlags {
            C::flags()
        }

        #[expect(clippy::panic, reason = "a panic is how this kernel stops")]
        fn stop(report: &Report) -> ! {
            panic!("{report}")
        }
    }
}
