//! The growth gate: one call of the machine at a time, none under a heap lock.
//!
//! Who needs the machine enters the gate, and waits for it with interrupts as they are, so that
//! they stay on where the caller had them on. With interrupts masked the gate is only tried: the
//! caller may have interrupted whoever is inside. Requests that must not grow never come here.

use core::fmt;
use core::hint;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::{Kernel, Patience};
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::base::lock;

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
        debug_assert!(
            !lock::any_held::<K>(),
            "the gate is never waited for under a heap lock"
        );
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

    /// Whether the caller is the machine, called from inside the gate: the same thread, and not one
    /// that an interrupt could have taken over, which would have masked interrupts since.
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

/// Planted violations of the rule that no heap lock is held when the machine is called. Only debug
/// builds keep track of the locks that a CPU holds.
#[cfg(all(test, debug_assertions))]
#[expect(clippy::expect_used, reason = "a test fails where its helpers do")]
mod tests {
    use alloc::boxed::Box;

    use archipelago_sim::{Hosted, Plain32, Sim};

    use super::super::{Heap, Window};
    use crate::region::ranges::Slot;
    use crate::region::{Cause, Purpose, Source};

    type Subject = Heap<Sim<Plain32>, Hosted>;

    fn subject() -> Box<Subject> {
        let heap: Box<Subject> = Box::default();
        let machine = Sim::builder().build();
        heap.init(&[Window::new(0x4000_0000, 1 << 24)], machine)
            .expect("a good window");
        heap
    }

    /// Makes the machine be called, inside the gate, while what `hold` answers is held.
    fn call_machine<R>(heap: &Subject, hold: impl Fn() -> R) -> Result<(), Cause> {
        let opened = heap.opened.get().expect("it is initialised");
        heap.with_machine(opened, |space, growth| {
            let _held = hold();
            let mut source = growth.metadata.source(space);
            // More than can be in stock.
            let memory = source.take::<Slot>(Purpose::Ranges, 4096, 0);
            memory.map(drop)
        })
    }

    #[test]
    fn a_call_without_locks_is_fine() {
        let heap = subject();
        assert_eq!(call_machine(&heap, || ()), Ok(()));
    }

    #[test]
    #[should_panic(expected = "the machine is never called under a heap lock")]
    fn a_call_under_the_page_lock_is_caught() {
        let heap = subject();
        let answer = call_machine(&heap, || heap.page.lock());
        assert_eq!(answer, Ok(()));
    }

    #[test]
    #[should_panic(expected = "the machine is never called under a heap lock")]
    fn a_call_under_the_central_lock_is_caught() {
        let heap = subject();
        let answer = call_machine(&heap, || heap.central.lock());
        assert_eq!(answer, Ok(()));
    }

    #[test]
    #[should_panic(expected = "the gate is never waited for under a heap lock")]
    fn waiting_for_the_gate_under_a_lock_is_caught() {
        let heap = subject();
        let _held = heap.page.lock();
        let answer = heap.scavenge(0);
        assert_eq!(answer, Ok(0));
    }
}
