//! A kernel for any core that has an implementation of the `critical-section` crate.

use core::cell::UnsafeCell;
use core::marker::PhantomData;

use archipelago_api::context::{Context, Handlers};
use archipelago_api::{AllocFlags, InterruptState, Kernel, Report};
use critical_section::RestoreState;

/// A kernel on one core without preemptive threads: masks interrupts through the `critical-section`
/// crate, and stops with a panic whose message is the report. `C` says which flags requests have
/// that come through `GlobalAlloc`: with [`Handlers`], handlers that allocate hold a
/// [`HandlerGuard`](archipelago_api::context::HandlerGuard) meanwhile.
///
/// `critical-section` does not say whether interrupts are enabled, so that nobody ever waits for
/// the growth gate: a handler that finds it closed is served from what is Ready. Outside of
/// handlers it never is closed.
#[derive(Debug)]
pub struct CriticalSection<C = Handlers> {
    _context: PhantomData<C>,
}

/// What the outermost critical section has to restore.
///
/// Whoever is inside the outermost section is alone, and changes this alone.
struct Outermost {
    state: UnsafeCell<Option<RestoreState>>,
}

// SAFETY: the cell is reached inside a critical section alone.
unsafe impl Sync for Outermost {}

static OUTERMOST: Outermost = Outermost {
    state: UnsafeCell::new(None),
};

impl<C: Context> Kernel for CriticalSection<C> {
    fn disable_interrupts() -> InterruptState {
        // SAFETY: released by `restore_interrupts`, or below; the heap's sections nest.
        let state = unsafe { critical_section::acquire() };
        // SAFETY: inside a critical section nobody else reaches the cell.
        let outermost = unsafe { &mut *OUTERMOST.state.get() };
        if outermost.is_some() {
            // SAFETY: the innermost section that is open is the one that has just been acquired.
            unsafe { critical_section::release(state) };
            return InterruptState::Masked;
        }
        *outermost = Some(state);
        InterruptState::Enabled
    }

    fn restore_interrupts(state: InterruptState) {
        if state == InterruptState::Masked {
            return;
        }
        // SAFETY: `Enabled` was answered to whoever opened the section, which is still open.
        let outermost = unsafe { &mut *OUTERMOST.state.get() };
        if let Some(state) = outermost.take() {
            // SAFETY: the state is what the section began with, and no section is open inside it.
            unsafe { critical_section::release(state) };
        }
    }

    /// Never known to be: see [`CriticalSection`].
    fn interrupts_enabled() -> bool {
        false
    }

    fn current_thread() -> usize {
        usize::from(!C::flags().is_empty())
    }

    fn context() -> AllocFlags {
        C::flags()
    }

    #[expect(clippy::panic, reason = "stopping is what the kernel is asked for")]
    fn stop(report: &Report) -> ! {
        panic!("{report}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipelago_api::context::{HandlerGuard, Ordinary};

    type Subject = CriticalSection<Handlers>;

    #[test]
    fn sections_nest_and_the_outermost_restores() {
        for _ in 0..2 {
            let outer = Subject::disable_interrupts();
            let inner = Subject::disable_interrupts();
            assert_eq!(
                (outer, inner),
                (InterruptState::Enabled, InterruptState::Masked)
            );
            Subject::restore_interrupts(inner);
            Subject::restore_interrupts(outer);
        }
        // Nothing is left open: another thread can enter.
        std::thread::spawn(|| critical_section::with(|_| ()))
            .join()
            .expect("no panic");
    }

    #[test]
    fn a_handler_is_a_thread_of_its_own() {
        let thread = Subject::current_thread();
        let _guard = HandlerGuard::enter();
        assert_eq!(Subject::context(), AllocFlags::ATOMIC);
        assert_ne!(Subject::current_thread(), thread);
        assert_eq!(CriticalSection::<Ordinary>::context(), AllocFlags::empty());
    }
}
