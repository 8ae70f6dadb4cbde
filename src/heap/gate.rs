//! The growth gate: one call of the machine at a time, none under a heap lock.
//!
//! Who needs the machine enters the gate, and waits for it with interrupts as they are, so that they stay on where the
//! caller had them on. With interrupts masked the gate is only tried: the caller may have interrupted whoever is
//! inside. Requests that must not grow never come here.

use core::fmt;
use core::hint;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::{Kernel, Patience};
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// Why the gate was not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Somebody is inside, and interrupts are masked.
    Busy,
    /// The caller is inside: the machine has called the heap.
    Inside,
}

/// The gate, and what only its holder touches.
pub(crate) struct Gate<T> {
    inner: SpinMutex<T>,
    /// The thread inside, as [`tag`] writes it; 0 for nobody.
    holder: AtomicUsize,
}

impl<T> Gate<T> {
    /// A gate with nobody inside.
    pub(crate) const fn new(value: T) -> Self {
        Self {
            inner: SpinMutex::new(value),
            holder: AtomicUsize::new(0),
        }
    }

    /// Enters.
    ///
    /// # Errors
    /// See [`Closed`].
    pub(crate) fn enter<K: Kernel>(&self) -> Result<Pass<'_, T>, Closed> {
        let enabled = K::interrupts_enabled();
        loop {
            if let Some(inner) = self.inner.try_lock() {
                self.holder.store(tag::<K>(enabled), Ordering::Relaxed);
                let patience = if enabled {
                    Patience::Wait
                } else {
                    Patience::Try
                };
                return Ok(Pass {
                    inner,
                    holder: &self.holder,
                    patience,
                });
            }
            if self.is_inside::<K>() {
                return Err(Closed::Inside);
            }
            if !enabled {
                return Err(Closed::Busy);
            }
            hint::spin_loop();
        }
    }

    /// Whether the caller is the machine, called from inside the gate: the same thread, and not one that an interrupt
    /// could have taken over, which would have masked interrupts since.
    #[inline]
    pub(crate) fn is_inside<K: Kernel>(&self) -> bool {
        let holder = self.holder.load(Ordering::Relaxed);
        if holder == 0 {
            return false;
        }
        holder == tag::<K>(K::interrupts_enabled())
    }
}

/// A thread and whether its interrupts are enabled, as a number that is not 0.
fn tag<K: Kernel>(enabled: bool) -> usize {
    K::current_thread().wrapping_mul(4) | 2 | usize::from(enabled)
}

impl<T> fmt::Debug for Gate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// Proof of being inside the gate.
pub(crate) struct Pass<'a, T> {
    inner: SpinMutexGuard<'a, T>,
    holder: &'a AtomicUsize,
    /// Whether the machine may wait for its locks.
    pub(crate) patience: Patience,
}

impl<T> Deref for Pass<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Pass<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for Pass<'_, T> {
    fn drop(&mut self) {
        self.holder.store(0, Ordering::Relaxed);
    }
}
