//! Ranked spin locks, held with interrupts off.
//!
//! Ranks rise from outer to inner: a CPU that holds a lock may only take one of a higher rank. The
//! rank is a const of the lock's type; debug builds check the order of each heap's on every CPU.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use archipelago_api::{InterruptState, Kernel};
use spin::relax::RelaxStrategy;

use super::cell::{SpinCell, SpinCellGuard};
use super::held::{HeapNumber, Membership};

/// Ranks, outermost first.
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

/// Waiting in the way of the kernel `K`.
pub(crate) struct Relax<K> {
    kernel: PhantomData<fn() -> K>,
}

impl<K: Kernel> RelaxStrategy for Relax<K> {
    #[inline(always)]
    fn relax() {
        K::relax();
    }
}

impl<K> fmt::Debug for Relax<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relax")
    }
}

/// A spin lock of rank `RANK` around a `T`, held with interrupts off on the kernel `K`.
pub(crate) struct RankedLock<T, K, const RANK: u8> {
    inner: SpinCell<T, Membership, Relax<K>>,
}

impl<T, K: Kernel, const RANK: u8> RankedLock<T, K, RANK> {
    /// A free lock.
    pub(crate) const fn new(value: T) -> Self {
        Self {
            inner: SpinCell::new(value, Membership::none()),
        }
    }

    /// The lock is one of `heap` from now on, which checks its order in debug builds.
    #[inline(always)]
    pub(crate) fn join(&self, heap: HeapNumber) {
        self.inner.beside().join(heap);
    }

    /// The heap of the lock.
    #[inline(always)]
    pub(crate) fn heap(&self) -> HeapNumber {
        self.inner.beside().heap()
    }

    /// The heap of the lock, which gets a new number if it had none.
    #[inline(always)]
    pub(crate) fn heap_or_new(&self) -> HeapNumber {
        self.inner.beside().heap_or_new()
    }

    /// Masks interrupts and waits for the lock.
    #[inline]
    pub(crate) fn lock(&self) -> RankedGuard<'_, T, K, RANK> {
        let interrupts = Restore {
            state: K::disable_interrupts(),
            heap: self.inner.beside().heap(),
            kernel: PhantomData,
        };
        interrupts.heap.enter::<K>(RANK);
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
    inner: SpinCellGuard<'a, T, Membership, Relax<K>>,
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
    /// The heap as of the time when the lock was taken.
    heap: HeapNumber,
    kernel: PhantomData<fn() -> K>,
}

impl<K: Kernel, const RANK: u8> Drop for Restore<K, RANK> {
    #[inline]
    fn drop(&mut self) {
        self.heap.leave::<K>(RANK);
        // SAFETY: the state is of the last call: guards are dropped in the reverse of the order in
        // which their locks were taken.
        unsafe { K::restore_interrupts(self.state) };
    }
}
