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

use core::marker::PhantomData;

use archipelago_api::context::Ordinary;

/// A kernel on one core: masks interrupts with PRIMASK, and stops with a panic whose message is the
/// report.
///
/// A request through `GlobalAlloc` from within an exception handler is
/// [`ATOMIC`](archipelago_api::AllocFlags::ATOMIC); `C` says which flags others have. In handlers
/// interrupts count as masked, also where a more urgent one could come, and each handler counts as
/// a thread of its own.
#[derive(Debug)]
pub struct SingleCpu<C = Ordinary> {
    _context: PhantomData<C>,
}

#[cfg(target_arch = "arm")]
mod single_cpu {
    use archipelago_api::context::Context;
    use archipelago_api::{AllocFlags, InterruptState, Kernel, Report};
    use cortex_m::interrupt;
    use cortex_m::peripheral::SCB;
    use cortex_m::register::primask;

    use super::SingleCpu;

    /// The bits of ICSR that name the exception being handled; 0 in thread mode.
    const VECTOR: u32 = 0x1ff;

    /// The number of the exception that this runs in; 0 in thread mode.
    fn exception() -> usize {
        let registers = SCB::PTR;
        // SAFETY: every Cortex-M has the System Control Block at this address.
        let icsr = unsafe { &(*registers).icsr };
        // Nine bits fit any word.
        usize::try_from(icsr.read() & VECTOR).unwrap_or(0)
    }

    impl<C: Context> Kernel for SingleCpu<C> {
        #[inline]
        fn disable_interrupts() -> InterruptState {
            if primask::read().is_inactive() {
                return InterruptState::Masked;
            }
            interrupt::disable();
            InterruptState::Enabled
        }

        #[inline]
        fn restore_interrupts(state: InterruptState) {
            if state == InterruptState::Enabled {
                // SAFETY: interrupts were enabled before the heap masked them, and its critical
                // section is over.
                unsafe { interrupt::enable() };
            }
        }

        fn interrupts_enabled() -> bool {
            primask::read().is_active() && exception() == 0
        }

        fn current_thread() -> usize {
            exception()
        }

        fn context() -> AllocFlags {
            if exception() == 0 {
                C::flags()
            } else {
                AllocFlags::ATOMIC
            }
        }

        #[expect(clippy::panic, reason = "a panic is how this kernel stops")]
        fn stop(report: &Report) -> ! {
            panic!("{report}")
        }
    }
}
