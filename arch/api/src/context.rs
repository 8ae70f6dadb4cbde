//! Ready-made implementations of [`Kernel::context`](crate::Kernel::context), for kernels that run
//! on one CPU.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::AllocFlags;

/// The flags of requests through `GlobalAlloc`, by the context in which the kernel makes them.
pub trait Context: 'static {
    /// The flags of a request that is made now.
    fn flags() -> AllocFlags;
}

/// The context in which every request is an ordinary one. Requests with interrupts masked still
/// never wait for a lock of mapper or frame allocator.
#[derive(Debug)]
pub enum Ordinary {}

impl Context for Ordinary {
    fn flags() -> AllocFlags {
        AllocFlags::empty()
    }
}

/// The context of a kernel whose interrupt handlers allocate: requests are [`AllocFlags::ATOMIC`]
/// while a [`HandlerGuard`] lives, so they never call the machine and may use the reserve. For
/// kernels of one CPU.
#[derive(Debug)]
pub enum Handlers {}

/// The number of guards that live.
///
/// The number is loaded and stored, never changed in one step, so that cores without
/// compare-and-swap can run this: on one CPU only handlers can change the number between a load and
/// its store, and each restores the number before the interrupted code goes on.
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

/// A guard that an interrupt handler holds for as long as it runs, so that [`Handlers`] knows.
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
