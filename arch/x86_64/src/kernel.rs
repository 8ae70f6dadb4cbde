//! Ready-made kernels.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::AllocFlags;

/// Which flags a request through `GlobalAlloc` has: what a kernel knows about where it is.
pub trait Context: 'static {
    /// The flags of a request that is made now.
    fn flags() -> AllocFlags;
}

/// Every request is an ordinary one. Requests that come with interrupts masked still never wait
/// for a lock of mapper or frame source.
#[derive(Debug)]
pub enum Ordinary {}

impl Context for Ordinary {
    fn flags() -> AllocFlags {
        AllocFlags::empty()
    }
}

/// Requests are [`AllocFlags::ATOMIC`] while a [`HandlerGuard`] lives: never the machine, only the
/// reserve.
#[derive(Debug)]
pub enum Handlers {}

/// How many guards live. One CPU: a handler returns before what it interrupted goes on.
static DEPTH: AtomicUsize = AtomicUsize::new(0);

impl Context for Handlers {
    fn flags() -> AllocFlags {
        if DEPTH.load(Ordering::Relaxed) == 0 {
            AllocFlags::empty()
        } else {
            AllocFlags::ATOMIC
        }
    }
}

/// Held for as long as an interrupt handler runs, tells [`Handlers`] that it does.
#[derive(Debug)]
#[must_use = "the handler counts as left when the guard is dropped"]
pub struct HandlerGuard {
    _only_here: PhantomData<*const ()>,
}

impl HandlerGuard {
    /// Enters a handler. Handlers nest.
    pub fn enter() -> Self {
        DEPTH.fetch_add(1, Ordering::Relaxed);
        Self {
            _only_here: PhantomData,
        }
    }
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        DEPTH.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A kernel that runs on one CPU: masks interrupts with `cli` and `sti`, and stops with a panic
/// whose message is the report. `C` says which flags requests have that come through `GlobalAlloc`.
#[derive(Debug)]
pub struct SingleCpu<C = Ordinary> {
    _context: PhantomData<C>,
}

#[cfg(target_arch = "x86_64")]
mod single_cpu {
    use super::{Context, SingleCpu};
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

        #[expect(clippy::panic, reason = "stopping is what the kernel is asked for")]
        fn stop(report: &Report) -> ! {
            panic!("{report}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_atomic_until_the_last_handler_is_left() {
        assert_eq!(Handlers::flags(), AllocFlags::empty());
        let outer = HandlerGuard::enter();
        let inner = HandlerGuard::enter();
        assert_eq!(Handlers::flags(), AllocFlags::ATOMIC);
        drop(inner);
        assert_eq!(Handlers::flags(), AllocFlags::ATOMIC);
        drop(outer);
        assert_eq!(Handlers::flags(), AllocFlags::empty());
        assert_eq!(Ordinary::flags(), AllocFlags::empty());
    }
}
