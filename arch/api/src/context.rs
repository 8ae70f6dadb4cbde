//! Ready-made answers to [`Kernel::context`](crate::Kernel::context), for kernels that run on one
//! CPU.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::AllocFlags;

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
/// reserve. For kernels of one CPU.
#[derive(Debug)]
pub enum Handlers {}

/// How many guards live.
///
/// Loaded and stored, never changed in one step, so that cores without compare-and-swap can have
/// it: on one CPU the only others that change it between a load and its store are handlers, and
/// each leaves it as it found it before what it interrupted goes on.
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
        let depth = DEPTH.load(Ordering::Relaxed);
        DEPTH.store(depth.wrapping_add(1), Ordering::Relaxed);
        Self {
            _only_here: PhantomData,
        }
    }
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        let depth = DEPTH.load(Ordering::Relaxed);
        DEPTH.store(depth.wrapping_sub(1), Ordering::Relaxed);
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
