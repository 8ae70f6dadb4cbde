//! Ranked spin locks, held with interrupts off.
//!
//! Ranks rise from outer to inner: a CPU that holds a lock may only take one of a higher rank. The
//! rank is a const of the lock's type; debug builds check the order on every CPU.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU8, Ordering};

use archipelago_api::{InterruptState, Kernel};
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// Ranks, outermost first; each is a bit of [`Held`](super::Held).
pub(crate) mod rank {
    /// Spans and their slots.
    pub(crate) const CENTRAL: u8 = 0;
    /// The memory of the heap bitmap.
    #[cfg(feature = "heap-bits")]
    pub(crate) const BITMAP: u8 = 1;
    /// Free pages, and the ranges that the heap owns.
    pub(crate) const PAGE: u8 = 2;
    /// The early heap; no lock is taken under it.
    pub(crate) const EARLY: u8 = 3;
}

/// A spin lock of rank `RANK` around a `T`, held with interrupts off on the kernel `K`.
pub(crate) struct RankedLock<T, K, const RANK: u8> {
    inner: SpinMutex<T>,
    kernel: PhantomData<fn() -> K>,
}

impl<T, K: Kernel, const RANK: u8> RankedLock<T, K, RANK> {
    /// A free lock.
    pub(crate) const fn new(value: T) -> Self {
        Self {
            inner: SpinMutex::new(value),
            kernel: PhantomData,
        }
    }

    /// Masks interrupts and waits for the lock.
    #[inline]
    pub(crate) fn lock(&self) -> RankedGuard<'_, T, K, RANK> {
        let interrupts = Restore {
            state: K::disable_interrupts(),
            kernel: PhantomData,
        };
        held::<K>().enter(RANK);
        RankedGuard {
            inner: self.inner.lock(),
            _interrupts: interrupts,
        }
    }
}

impl<T, K, const RANK: u8> fmt::Debug for RankedLock<T, K, RANK> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RankedLock(rank {RANK})")
    }
}

/// Proof that a lock is held. Fields drop in order: the lock first, then interrupts are restored.
pub(crate) struct RankedGuard<'a, T, K: Kernel, const RANK: u8> {
    inner: SpinMutexGuard<'a, T>,
    _interrupts: Restore<K, RANK>,
}

impl<T, K: Kernel, const RANK: u8> Deref for RankedGuard<'_, T, K, RANK> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T, K: Kernel, const RANK: u8> DerefMut for RankedGuard<'_, T, K, RANK> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// Restores interrupts after the lock was released.
struct Restore<K: Kernel, const RANK: u8> {
    state: InterruptState,
    kernel: PhantomData<fn() -> K>,
}

impl<K: Kernel, const RANK: u8> Drop for Restore<K, RANK> {
    #[inline]
    fn drop(&mut self) {
        held::<K>().leave(RANK);
        K::restore_interrupts(self.state);
    }
}

/// Whether this CPU holds a heap lock, which debug builds alone know. The machine is never called
/// under one.
pub(crate) fn any_held<K: Kernel>() -> bool {
    // A thread that was moved to another CPU after it asked for its own would read the ranks of
    // another thread.
    let interrupts = K::disable_interrupts();
    let any = held::<K>().any();
    K::restore_interrupts(interrupts);
    any
}

/// The ranks that one CPU holds. Release builds keep none.
#[derive(Clone, Copy)]
struct Held(Option<&'static AtomicU8>);

/// CPUs whose ranks debug builds check; those above are not checked.
const CHECKED_CPUS: usize = 64;
static HELD: [AtomicU8; CHECKED_CPUS] = [const { AtomicU8::new(0) }; CHECKED_CPUS];

#[inline]
fn held<K: Kernel>() -> Held {
    if cfg!(debug_assertions) {
        Held(HELD.get(usize::from(K::current_cpu().0)))
    } else {
        Held(None)
    }
}

impl Held {
    #[inline]
    fn enter(self, rank: u8) {
        if let Some(ranks) = self.0 {
            let before = ranks.load(Ordering::Relaxed);
            debug_assert!(
                before >> rank == 0,
                "a lock of rank {rank} taken under one not below it"
            );
            ranks.store(before | 1 << rank, Ordering::Relaxed);
        }
    }

    #[inline]
    fn leave(self, rank: u8) {
        if let Some(ranks) = self.0 {
            ranks.store(
                ranks.load(Ordering::Relaxed) & !(1 << rank),
                Ordering::Relaxed,
            );
        }
    }

    fn any(self) -> bool {
        self.0
            .is_some_and(|ranks| ranks.load(Ordering::Relaxed) != 0)
    }
}
