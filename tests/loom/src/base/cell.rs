//! A value behind a lock of loom's, with the interface of the library's cell.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr;

use loom::sync::MutexGuard;

use crate::memory;

/// A `T` behind a lock, and a `B` beside the lock that it does not guard.
pub(crate) struct SpinCell<T, B, R> {
    beside: B,
    value: UnsafeCell<T>,
    relax: PhantomData<fn() -> R>,
}

// SAFETY: the value is accessed through the guard alone, of which there is one at a time.
unsafe impl<T: Send, B: Sync, R> Sync for SpinCell<T, B, R> {}

impl<T, B, R> SpinCell<T, B, R> {
    pub(crate) const fn new(value: T, beside: B) -> Self {
        Self {
            beside,
            value: UnsafeCell::new(value),
            relax: PhantomData,
        }
    }

    pub(crate) const fn beside(&self) -> &B {
        &self.beside
    }

    pub(crate) fn lock(&self) -> SpinCellGuard<'_, T, B, R> {
        let lock = memory::lock_at(ptr::from_ref(self).addr());
        SpinCellGuard {
            cell: self,
            _locked: lock.lock().expect("no thread has panicked"),
        }
    }
}

/// Proof that the lock is held.
pub(crate) struct SpinCellGuard<'a, T, B, R> {
    cell: &'a SpinCell<T, B, R>,
    _locked: MutexGuard<'static, ()>,
}

impl<T, B, R> Deref for SpinCellGuard<'_, T, B, R> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held until the guard goes, and a mutable reference borrows the guard.
        unsafe { &*self.cell.value.get() }
    }
}

impl<T, B, R> DerefMut for SpinCellGuard<'_, T, B, R> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held until the guard goes, and other references borrow the guard.
        unsafe { &mut *self.cell.value.get() }
    }
}
