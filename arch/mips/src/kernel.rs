//! The kernel of one CPU.

use core::marker::PhantomData;

use archipelago_api::context::Ordinary;

/// A kernel that runs on one CPU: masks interrupts with `di` and `ei`, and stops with a panic whose
/// message is the report. `C` says which flags requests through `GlobalAlloc` have.
#[derive(Debug)]
pub struct SingleCpu<C = Ordinary> {
    _context: PhantomData<C>,
}

#[cfg(target_arch = "mips")]
mod single_cpu {
    use archipelago_api::context::Context;
    use archipelago_api::{AllocFlags, InterruptState, Kernel, Report};

    use super::SingleCpu;
    use crate::cp0;

    impl<C: Context> Kernel for SingleCpu<C> {
        fn disable_interrupts() -> InterruptState {
            if cp0::disable_interrupts() {
                InterruptState::Enabled
            } else {
                InterruptState::Masked
            }
        }

        fn restore_interrupts(state: InterruptState) {
            if state == InterruptState::Enabled {
                cp0::enable_interrupts();
            }
        }

        fn interrupts_enabled() -> bool {
            cp0::interrupts_enabled()
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
