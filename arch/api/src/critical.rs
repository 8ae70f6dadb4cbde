//! A kernel for any core that has an implementation of the `critical-section` crate.

use core::cell::UnsafeCell;
use core::marker::PhantomData;

use critical_section::RestoreState;

use crate::context::{Context, Handlers};
use crate::{AllocFlags, InterruptState, Kernel, Report};

/// For one core, of any kind, whose firmware switches threads only where they ask for it, if it has
/// any. It masks interrupts through the `critical-section` crate, and stops with a panic whose
/// message is the report.
///
/// `C` says which flags requests through `GlobalAlloc` have: with [`Handlers`], handlers that
/// allocate hold a [`HandlerGuard`](crate::context::HandlerGuard) meanwhile.
///
/// `critical-section` cannot tell whether interrupts are enabled, so no request ever waits for the
/// growth gate: a handler that finds the gate closed is served from Ready memory. Outside of
/// handlers the gate is never closed. Firmware that switches threads in interrupts has a
/// [`Kernel`] of its own, which knows whether interrupts are enabled: to this one, a thread that
/// could wait looks like a handler, and is refused.
#[derive(Debug)]
pub struct CriticalSection<C = Handlers> {
    _context: PhantomData<C>,
}

/// The state that the outermost critical section has to restore. Only code inside that section
/// accesses it.
struct Outermost {
    state: UnsafeCell<Option<RestoreState>>,
}

// SAFETY: only code inside a critical section accesses the cell.
unsafe impl Sync for Outermost {}

static OUTERMOST: Outermost = Outermost {
    state: UnsafeCell::new(None),
};

impl<C: Context> Kernel for CriticalSection<C> {
    fn disable_interrupts() -> InterruptState {
        // SAFETY: `restore_interrupts`, or the code below, releases the section, and the heap's
        // sections nest.
        let state = unsafe { critical_section::acquire() };
        // SAFETY: inside a critical section nothing else accesses the cell.
        let outermost = unsafe { &mut *OUTERMOST.state.get() };
        if outermost.is_some() {
            // SAFETY: the section that was just acquired is the innermost open one.
            unsafe { critical_section::release(state) };
            return InterruptState::Masked;
        }
        *outermost = Some(state);
        InterruptState::Enabled
    }

    unsafe fn restore_interrupts(state: InterruptState) {
        if state == InterruptState::Masked {
            return;
        }
        // SAFETY: `disable_interrupts` returned `Enabled` when it opened the section, which is
        // still open.
        let outermost = unsafe { &mut *OUTERMOST.state.get() };
        if let Some(state) = outermost.take() {
            // SAFETY: the section began with this state, and no section is open inside it.
            unsafe { critical_section::release(state) };
        }
    }

    /// Always false, because the state is unknown; see [`CriticalSection`].
    fn interrupts_enabled() -> bool {
        false
    }

    fn current_thread() -> usize {
        usize::from(!C::flags().is_empty())
    }

    fn context() -> AllocFlags {
        C::flags()
    }

    #[expect(clippy::panic, reason = "a panic is how this kernel stops")]
    fn stop(report: &Report) -> ! {
        panic!("{report}")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::context::{HandlerDepth, HandlerGuard, HandlersOf, Ordinary, PerCpu};

    /// A count of its own: tests run side by side.
    struct Counted;

    impl PerCpu for Counted {
        fn depth() -> &'static HandlerDepth {
            static DEPTH: HandlerDepth = HandlerDepth::new();
            &DEPTH
        }
    }

    type Subject = CriticalSection<HandlersOf<Counted>>;

    #[test]
    fn sections_nest_and_the_outermost_restores() {
        for _ in 0..2 {
            let outer = Subject::disable_interrupts();
            let inner = Subject::disable_interrupts();
            assert_eq!(
                (outer, inner),
                (InterruptState::Enabled, InterruptState::Masked)
            );
            // SAFETY: the state is of the last call, which masked interrupts on this CPU.
            unsafe { Subject::restore_interrupts(inner) };
            // SAFETY: the state is of the last call, which masked interrupts on this CPU.
            unsafe { Subject::restore_interrupts(outer) };
        }
        // Nothing is left open: another thread can enter.
        std::thread::spawn(|| critical_section::with(|_| ()))
            .join()
            .expect("no panic");
    }

    #[test]
    fn a_handler_is_a_thread_of_its_own() {
        let thread = Subject::current_thread();
        let _guard = HandlerGuard::enter_on(Counted::depth());
        assert_eq!(Subject::context(), AllocFlags::ATOMIC);
        assert_ne!(Subject::current_thread(), thread);
        assert_eq!(CriticalSection::<Ordinary>::context(), AllocFlags::empty());
    }
}
