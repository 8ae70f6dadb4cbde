//! The kernel that the `archipelago` heap needs, on one core of a Cortex-M.
//!
//! [`SingleCpu`] masks interrupts with PRIMASK, and reads in the processor's registers whether it
//! runs in an exception handler. The `critical-section` crate cannot tell, and a heap has to know,
//! because a handler must not wait for the code that it interrupted. Firmware on other cores, or
//! that masks interrupts in another way, uses `CriticalSection` of `archipelago-flat`, and marks
//! its handlers with guards.
//!
//! The heap's memory is the flat machine's of `archipelago-flat`:
//!
//! ```text
//! #[global_allocator]
//! static HEAP: FlatHeap<archipelago_cortex_m::SingleCpu> = FlatHeap::empty();
//! ```
#![no_std]

use archipelago_api::kernels::{OneCpu, OneForEach, ReadyMade};

pub use archipelago_api::context::{
    Context, HandlerDepth, HandlerGuard, Handlers, HandlersOf, Ordinary, PerCpu,
};
pub use archipelago_api::kernels::Threads;
pub use archipelago_api::{AllocFlags, CpuId, Fault, InterruptState, Kernel, Reentry, Report};

/// For one core whose firmware switches threads only where they ask for it, if it has any.
///
/// A request through `GlobalAlloc` from within an exception handler is [`AllocFlags::ATOMIC`]; `C`
/// says which flags others have. In handlers interrupts count as masked, also where a more urgent
/// one could come, and each handler counts as a thread of its own. The kernel stops with a panic
/// whose message is the report.
pub type SingleCpu<C = Ordinary> = ReadyMade<CpuInterrupts, OneCpu, OneForEach<OneCpu>, C>;

/// For one core whose firmware switches the threads `T` in interrupts, as PendSV does. All else is
/// as in [`SingleCpu`].
pub type SingleCpuThreads<T, C = Ordinary> = ReadyMade<CpuInterrupts, OneCpu, T, C>;

/// Interrupts of this core, masked with PRIMASK.
#[derive(Debug)]
pub enum CpuInterrupts {}

#[cfg(any(target_arch = "arm", doc))]
mod interrupts {
    use archipelago_api::InterruptState;
    use archipelago_api::kernels::Interrupts;
    use cortex_m::interrupt;
    use cortex_m::peripheral::SCB;
    use cortex_m::register::primask;

    use super::CpuInterrupts;

    /// The bits of ICSR that name the exception being handled; 0 in thread mode.
    const VECTOR: u32 = 0x1ff;

    impl Interrupts for CpuInterrupts {
        #[inline]
        fn disable() -> InterruptState {
            if primask::read().is_inactive() {
                return InterruptState::Masked;
            }
            interrupt::disable();
            InterruptState::Enabled
        }

        #[inline]
        unsafe fn restore(state: InterruptState) {
            if state == InterruptState::Enabled {
                // SAFETY: interrupts were enabled before the heap masked them, and its critical
                // section is over.
                unsafe { interrupt::enable() };
            }
        }

        #[inline]
        fn are_enabled() -> bool {
            primask::read().is_active() && Self::exception() == 0
        }

        #[inline]
        fn exception() -> u16 {
            let registers = SCB::PTR;
            // SAFETY: every Cortex-M has the System Control Block at this address.
            let icsr = unsafe { &(*registers).icsr };
            // Nine bits fit.
            u16::try_from(icsr.read() & VECTOR).unwrap_or(0)
        }
    }
}
