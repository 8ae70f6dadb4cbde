//! A value behind a spin lock, with room for small fields beside the lock.
//!
//! A lock around its value takes a whole word for one bit, and its guard has two pointers. Here the
//! small fields of the owner share the word, and the guard has one.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem;
use core::ops::{Deref, DerefMut};

use spin::mutex::SpinMutex;
use spin::relax::RelaxStrategy;

/// A `T` behind a spin lock that waits as `R` says, and a `B` beside the lock that it does not
/// guard.
pub(crate) struct SpinCell<T, B, R> {
    lock: SpinMutex<(), R>,
    beside: B,
    value: UnsafeCell<T>,
}

// SAFETY: the value is accessed through the guard alone, of which there is one at a time, so that a
// value that may go from thread to thread may be reached from all of them.
unsafe impl<T: Send, B: Sync, R> Sync for SpinCell<T, B, R> {}

impl<T, B, R> SpinCell<T, B, R> {
    /// A free lock.
    pub(crate) const fn new(value: T, beside: B) -> Self {
        Self {
            lock: SpinMutex::new(()),
            beside,
            value: UnsafeCell::new(value),
        }
    }

    /// The part that the lock does not guard.
    #[inline(always)]
    pub(crate) const fn beside(&self) -> &B {
        &self.beside
    }

    /// Takes the lock if it is free.
    #[inline(always)]
    pub(crate) fn try_lock(&self) -> Option<SpinCellGuard<'_, T, B, R>> {
        self.lock.try_lock().map(|locked| self.guard(locked))
    }

    /// The guard that unlocks in place of `locked`.
    #[inline(always)]
    fn guard(&self, locked: impl Sized) -> SpinCellGuard<'_, T, B, R> {
        mem::forget(locked);
        SpinCellGuard {
            cell: self,
            value: PhantomData,
        }
    }
}

impl<T, B, R: RelaxStrategy> SpinCell<T, B, R> {
    /// Waits for the lock.
    #[inline(always)]
    pub(crate) fn lock(&self) -> SpinCellGuard<'_, T, B, R> {
        self.guard(self.lock.lock())
    }
}

/// Proof that the lock is held.
pub(crate) struct SpinCellGuard<'a, T, B, R> {
    cell: &'a SpinCell<T, B, R>,
    value: PhantomData<&'a mut T>,
}

impl<'a, T, B, R> SpinCellGuard<'a, T, B, R> {
    /// The cell whose lock is held.
    #[inline(always)]
    pub(crate) const fn cell(&self) -> &'a SpinCell<T, B, R> {
        self.cell
    }
}

impl<T, B, R> Deref for SpinCellGuard<'_, T, B, R> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held until the guard goes, and a mutable reference borrows the guard.
        unsafe { &*self.cell.value.get() }
    }
}

impl<T, B, R> DerefMut for SpinCellGuard<'_, T, B, R> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held until the guard goes, and other references borrow the guard.
        unsafe { &mut *self.cell.value.get() }
    }
}

impl<T, B, R> Drop for SpinCellGuard<'_, T, B, R> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the lock was taken for this guard, and its own guard was forgotten.
        unsafe { self.cell.lock.force_unlock() };
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU8, Ordering};

    use spin::Spin;

    use super::SpinCell;

    #[test]
    fn a_guard_is_alone_and_unlocks() {
        let cell = SpinCell::<_, _, Spin>::new(1, AtomicU8::new(7));
        let mut guard = cell.lock();
        *guard += 1;
        assert!(cell.try_lock().is_none());
        guard.cell().beside().store(8, Ordering::Relaxed);
        drop(guard);
        assert_eq!(cell.try_lock().map(|guard| *guard), Some(2));
        assert_eq!(cell.beside().load(Ordering::Relaxed), 8);
    }

    #[test]
    fn small_fields_share_the_word_of_the_lock() {
        type Subject = SpinCell<usize, (u8, u8, u8), Spin>;
        assert_eq!(size_of::<Subject>(), 2 * size_of::<usize>());
    }
}
