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

/// Sections that are ended as they were begun. The heap opens fewer inside each other.
const ENDED: usize = 8;

/// The sections that [`CriticalSection`] has opened, the innermost last. Only code inside one
/// accesses them.
struct Sections {
    open: UnsafeCell<Open>,
}

struct Open {
    count: usize,
    /// The states that the first sections have to restore. A section beyond them is not ended
    /// itself: interrupts stay masked until a section around it ends.
    states: [Option<RestoreState>; ENDED],
}

// SAFETY: only code inside a critical section accesses the cell.
unsafe impl Sync for Sections {}

static SECTIONS: Sections = Sections {
    open: UnsafeCell::new(Open {
        count: 0,
        states: [None; ENDED],
    }),
};

impl<C: Context> Kernel for CriticalSection<C> {
    /// Begins a critical section.
    ///
    /// Undo the call with [`restore_interrupts`](Kernel::restore_interrupts), before a section of
    /// `critical_section::with` around it ends. Without that, interrupts are masked until the
    /// section around it ends, or for good if there is none. Later calls of this function mask
    /// interrupts all the same; after eight that were not undone, for good.
    fn disable_interrupts() -> InterruptState {
        // SAFETY: `restore_interrupts` ends the section. One that it does not end leaves interrupts
        // masked, until a section around it restores them.
        let state = unsafe { critical_section::acquire() };
        // SAFETY: inside a critical section nothing else accesses the cell.
        let open = unsafe { &mut *SECTIONS.open.get() };
        let is_outermost = open.count == 0;
        if let Some(place) = open.states.get_mut(open.count) {
            *place = Some(state);
        }
        open.count = open.count.saturating_add(1);
        if is_outermost {
            InterruptState::Enabled
        } else {
            InterruptState::Masked
        }
    }

    unsafe fn restore_interrupts(_: InterruptState) {
        // SAFETY: the section that `disable_interrupts` began last is open, as the caller promises.
        let open = unsafe { &mut *SECTIONS.open.get() };
        open.count = open.count.saturating_sub(1);
        let state = open.states.get_mut(open.count).and_then(Option::take);
        if let Some(state) = state {
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

    /// For tests that open sections, which all kernels of this kind share.
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

    #[test]
    fn sections_nest_and_the_outermost_restores() {
        let _alone = ALONE.lock();
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

    /// Safe code cannot make a later section one that masks nothing.
    #[test]
    fn a_section_that_was_not_ended_weakens_no_later_one() {
        let _alone = ALONE.lock();
        let mut left_open = InterruptState::Masked;
        critical_section::with(|_| left_open = Subject::disable_interrupts());
        let outer = Subject::disable_interrupts();
        let other = std::thread::spawn(|| critical_section::with(|_| ()));
        for _ in 0..100 {
            std::thread::yield_now();
        }
        assert!(!other.is_finished(), "another thread is in the section");
        // SAFETY: the state is of the last call, which masked interrupts on this CPU.
        unsafe { Subject::restore_interrupts(outer) };
        other.join().expect("no panic");
        // SAFETY: the call is the last whose state was not restored, and a section is open.
        critical_section::with(|_| unsafe { Subject::restore_interrupts(left_open) });
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
