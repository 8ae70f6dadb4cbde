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

/// Interrupts of this CPU, masked with `di` and `ei`.
#[derive(Debug)]
pub enum CpuInterrupts {}

#[cfg(any(target_arch = "mips", doc))]
mod interrupts {
    use archipelago_api::InterruptState;
    use archipelago_api::kernels::Interrupts;

    use super::CpuInterrupts;
    use crate::cp0;

    impl Interrupts for CpuInterrupts {
        #[inline]
        fn disable() -> InterruptState {
            if cp0::disable_interrupts() {
                InterruptState::Enabled
            } else {
                InterruptState::Masked
            }
        }

        #[inline]
        unsafe fn restore(state: InterruptState) {
            if state == InterruptState::Enabled {
                cp0::enable_interrupts();
            }
        }

        #[inline]
        fn are_enabled() -> bool {
            cp0::interrupts_enabled()
        }
    }
}
