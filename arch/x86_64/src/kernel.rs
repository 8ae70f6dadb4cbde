//! The kernel of one CPU.

use core::marker::PhantomData;

use archipelago_api::context::Ordinary;

/// A kernel that runs on one CPU: masks interrupts with `cli` and `sti`, and stops with a panic
/// whose message is the report. `C` says which flags requests through `GlobalAlloc` have.
#[derive(Debug)]
pub struct SingleCpu<C = Ordinary> {
    _context: PhantomData<C>,
}

#[cfg(target_arch = "x86_64")]
mod single_cpu {
    use super::SingleCpu;
    use archipelago_api::context::Context;
    use archipelago_api::{AllocFlags, InterruptState, Kernel, Report};
    use x86_64::instructions::interrupts;

    impl<C: Context> Kernel for SingleCpu<C> {
        fn disable_interrupts() -> InterruptState {
            if !interrupts::are_enabled() {
                return InterruptState::Masked;
            }
            interrupts::disable();
            InterruptState::Enabled
        }

        fn restore_interrupts(state: InterruptState) {
            if state == InterruptState::Enabled {
                interrupts::enable();
            }
        }

        fn interrupts_enabled() -> bool {
            interrupts::are_enabled()
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
