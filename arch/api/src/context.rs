//! Ready-made implementations of [`Kernel::context`](crate::Kernel::context): the flags of requests
//! that come through `GlobalAlloc`.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::AllocFlags;

/// The flags of requests through `GlobalAlloc`, by the context in which the kernel makes them.
pub trait Context: 'static {
    /// Whether it can serve a kernel of several CPUs.
    const SEVERAL_CPUS: bool = true;

    /// The flags of a request that is made now.
    fn flags() -> AllocFlags;

    /// Called by debug builds of the ready-made kernels before [`flags`](Self::flags), with the
    /// number of the thread that makes the request.
    ///
    /// # Panics
    /// A context that knows handlers may panic if another thread runs in a handler than the one
    /// that was interrupted.
    fn asked_by(thread: usize) {
        let _: usize = thread;
    }
}

/// The context in which every request is an ordinary one. Requests with interrupts masked still
/// never wait for a lock of mapper or frame allocator.
#[derive(Debug)]
pub enum Ordinary {}

impl Context for Ordinary {
    #[inline]
    fn flags() -> AllocFlags {
        AllocFlags::empty()
    }
}

/// The context of a kernel of one CPU whose interrupt handlers allocate: requests are
/// [`AllocFlags::ATOMIC`] while a [`HandlerGuard`] lives, so they never call the machine and may
/// use the reserve. Several CPUs use [`HandlersOf`].
#[derive(Debug)]
pub enum Handlers {}

/// The handlers that run on the one CPU.
static HANDLERS: HandlerDepth = HandlerDepth::new();

impl Context for Handlers {
    const SEVERAL_CPUS: bool = false;

    #[inline]
    fn flags() -> AllocFlags {
        HANDLERS.flags()
    }

    fn asked_by(thread: usize) {
        HANDLERS.check_thread(thread);
    }
}

/// The context of a kernel whose interrupt handlers allocate and that counts them itself: for each
/// CPU, or, where handlers may switch threads, for each thread. `D` finds the count.
///
/// ```
/// use archipelago_api::context::{HandlerDepth, HandlerGuard, PerCpu};
/// # static ONE: CpuData = CpuData { handlers: HandlerDepth::new() };
/// # fn this_cpu() -> &'static CpuData { &ONE }
///
/// struct CpuData {
///     handlers: HandlerDepth,
/// }
///
/// struct Counted;
///
/// impl PerCpu for Counted {
///     fn depth() -> &'static HandlerDepth {
///         &this_cpu().handlers
///     }
/// }
///
/// fn timer_handler() {
///     let _guard = HandlerGuard::enter_on(Counted::depth());
///     // Requests of this CPU are ATOMIC until the guard goes: kernels with
///     // `HandlersOf<Counted>` as their context.
/// }
/// # timer_handler();
/// ```
#[derive(Debug)]
pub struct HandlersOf<D> {
    _depth: PhantomData<D>,
}

/// The way to a count of handlers.
pub trait PerCpu: 'static {
    /// The count of this CPU, or of this thread.
    fn depth() -> &'static HandlerDepth;
}

impl<D: PerCpu> Context for HandlersOf<D> {
    #[inline]
    fn flags() -> AllocFlags {
        D::depth().flags()
    }

    fn asked_by(thread: usize) {
        D::depth().check_thread(thread);
    }
}

/// The number of handlers that run on one CPU, each with a [`HandlerGuard`].
///
/// The number is loaded and stored, never changed in one step, so that cores without
/// compare-and-swap can run this: on one CPU only handlers can change the number between a load and
/// its store, and each restores the number before the interrupted code goes on.
#[derive(Debug)]
pub struct HandlerDepth {
    guards: AtomicUsize,
    /// Whether a request was made since the outermost guard, and by which thread; for debug builds.
    is_asked: AtomicBool,
    asked_by: AtomicUsize,
}

impl HandlerDepth {
    /// No handler.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            guards: AtomicUsize::new(0),
            is_asked: AtomicBool::new(false),
            asked_by: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn flags(&self) -> AllocFlags {
        if self.guards.load(Ordering::Relaxed) == 0 {
            AllocFlags::empty()
        } else {
            AllocFlags::ATOMIC
        }
    }

    /// Panics if this request and the one before, both under the outermost guard, are of different
    /// threads.
    fn check_thread(&self, thread: usize) {
        if self.guards.load(Ordering::Relaxed) == 0 {
            return;
        }
        let before = self
            .is_asked
            .load(Ordering::Relaxed)
            .then(|| self.asked_by.load(Ordering::Relaxed));
        assert!(
            before.is_none_or(|before| before == thread),
            "a handler switched threads while it held a HandlerGuard: drop the guard first"
        );
        self.asked_by.store(thread, Ordering::Relaxed);
        self.is_asked.store(true, Ordering::Relaxed);
    }
}

impl Default for HandlerDepth {
    fn default() -> Self {
        Self::new()
    }
}

/// A guard that an interrupt handler holds for as long as it runs, so that [`Handlers`] or
/// [`HandlersOf`] knows.
///
/// A handler that switches threads drops the guard first: the thread that it switches to is in no
/// handler, and its requests would be [`AllocFlags::ATOMIC`] until the first thread goes on.
/// Debug builds find guards that are dropped in another order than they were made in, and, in
/// kernels that tell threads apart, requests of two threads under one guard; both panic. A kernel
/// that switches threads inside of handlers counts the handlers of each thread ([`HandlersOf`]).
#[derive(Debug)]
#[must_use = "the handler counts as left when the guard is dropped"]
pub struct HandlerGuard {
    depth: &'static HandlerDepth,
    /// The guards that live, this one included.
    guards: usize,
    _only_here: PhantomData<*const ()>,
}

impl HandlerGuard {
    /// Enters a handler on the one CPU, which [`Handlers`] knows. Handlers nest.
    #[inline]
    pub fn enter() -> Self {
        Self::enter_on(&HANDLERS)
    }

    /// Enters a handler on the CPU whose count is `depth`, which [`HandlersOf`] knows. Handlers
    /// nest. The caller stays on the CPU while the guard lives.
    #[inline]
    pub fn enter_on(depth: &'static HandlerDepth) -> Self {
        let before = depth.guards.load(Ordering::Relaxed);
        if before == 0 {
            depth.is_asked.store(false, Ordering::Relaxed);
        }
        let guards = before.wrapping_add(1);
        depth.guards.store(guards, Ordering::Relaxed);
        Self {
            depth,
            guards,
            _only_here: PhantomData,
        }
    }
}

impl Drop for HandlerGuard {
    /// # Panics
    /// In debug builds, if a guard that was made later lives.
    #[inline]
    fn drop(&mut self) {
        debug_assert_eq!(
            self.depth.guards.load(Ordering::Relaxed),
            self.guards,
            "a HandlerGuard was dropped out of order: a handler switched threads while it held one"
        );
        self.depth
            .guards
            .store(self.guards.wrapping_sub(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    extern crate std;

    use alloc::boxed::Box;
    use alloc::string::String;
    use core::any::Any;
    use std::panic;

    use super::*;

    /// A count of its own for each test.
    macro_rules! counted {
        ($name:ident) => {
            #[derive(Debug)]
            struct $name;

            impl PerCpu for $name {
                fn depth() -> &'static HandlerDepth {
                    static DEPTH: HandlerDepth = HandlerDepth::new();
                    &DEPTH
                }
            }
        };
    }

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

    #[test]
    fn each_count_is_of_its_own_cpu() {
        counted!(Left);
        counted!(Right);
        let guard = HandlerGuard::enter_on(Left::depth());
        assert_eq!(HandlersOf::<Left>::flags(), AllocFlags::ATOMIC);
        assert_eq!(HandlersOf::<Right>::flags(), AllocFlags::empty());
        drop(guard);
        assert_eq!(HandlersOf::<Left>::flags(), AllocFlags::empty());
    }

    fn message(caught: Box<dyn Any + Send>) -> String {
        *caught.downcast::<String>().expect("a panic with a message")
    }

    #[test]
    fn requests_of_two_threads_under_one_guard_are_found() {
        counted!(Counted);
        let guard = HandlerGuard::enter_on(Counted::depth());
        HandlersOf::<Counted>::asked_by(0);
        let nested = HandlerGuard::enter_on(Counted::depth());
        HandlersOf::<Counted>::asked_by(0);
        drop(nested);
        let caught = panic::catch_unwind(|| HandlersOf::<Counted>::asked_by(1));
        assert!(caught.is_err(), "the switch is found");
        drop(guard);
        // The next handler interrupts another thread.
        HandlersOf::<Counted>::asked_by(2);
        let guard = HandlerGuard::enter_on(Counted::depth());
        HandlersOf::<Counted>::asked_by(3);
        drop(guard);
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_guard_that_a_switch_outlives_is_found() {
        counted!(Counted);
        let first = HandlerGuard::enter_on(Counted::depth());
        // The handler switches to a thread that is interrupted, too, and whose handler switches
        // back.
        let second = HandlerGuard::enter_on(Counted::depth());
        let caught = panic::catch_unwind(panic::AssertUnwindSafe(|| drop(first)));
        assert!(message(caught.expect_err("the switch is found")).contains("switched threads"));
        core::mem::forget(second);
    }
}
