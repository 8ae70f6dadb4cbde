//! The growth gate: one call of the machine at a time, none under a heap lock.
//!
//! A caller who needs the machine enters the gate, and waits for it with interrupts as they are:
//! the kernel decides by `Kernel::relax` what a thread does that waits.
//! With interrupts masked the gate is only tried, because the caller may have interrupted the
//! thread that is inside. Requests that must not grow never come here.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{self, AtomicU8, AtomicUsize, Ordering};

use archipelago_api::Kernel;
use spin::Spin;

use crate::base::cell::{SpinCell, SpinCellGuard};
use crate::base::held::HeapNumber;

/// Why the gate was not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Another thread is inside, and interrupts are masked.
    Busy,
    /// The caller is inside: the machine has called the heap.
    Inside,
}

/// The gate around a value that only the thread inside touches.
pub(crate) struct Gate<T> {
    /// Beside the lock: whether a thread is inside, and whether its interrupts are enabled, a state
    /// below. It is stored after the thread's number, so that whoever sees it sees that number, or
    /// a later one.
    inner: SpinCell<T, AtomicU8, Spin>,
    /// The number of the thread inside, any number; it stays when the thread leaves.
    thread: AtomicUsize,
}

/// No thread is inside.
const NOBODY: u8 = 0;
/// A thread with interrupts masked is inside.
const MASKED: u8 = 1;
/// A thread with interrupts enabled is inside.
const ENABLED: u8 = 2;

impl<T> Gate<T> {
    /// A gate without a thread inside.
    pub(crate) const fn new(value: T) -> Self {
        Self {
            inner: SpinCell::new(value, AtomicU8::new(NOBODY)),
            thread: AtomicUsize::new(0),
        }
    }

    /// Enters the gate of `heap`.
    ///
    /// # Errors
    /// See [`Closed`].
    #[inline(always)]
    pub(crate) fn enter<K: Kernel>(&self, heap: HeapNumber) -> Result<GateGuard<'_, T>, Closed> {
        debug_assert!(
            !heap.held_locks::<K>().are_any_known(),
            "the gate is never waited for under a lock of its heap"
        );
        let enabled = K::interrupts_enabled();
        loop {
            if let Some(guard) = self.enter_if_open::<K>(heap) {
                return Ok(guard);
            }
            if self.is_inside::<K>() {
                return Err(Closed::Inside);
            }
            if !enabled {
                return Err(Closed::Busy);
            }
            K::relax();
        }
    }

    /// Enters the gate of `heap`, unless a thread is inside.
    #[inline(always)]
    pub(crate) fn enter_if_open<K: Kernel>(&self, heap: HeapNumber) -> Option<GateGuard<'_, T>> {
        let inner = self.inner.try_lock()?;
        self.thread.store(K::current_thread(), Ordering::Relaxed);
        let state = state(K::interrupts_enabled());
        inner.cell().beside().store(state, Ordering::Release);
        Some(GateGuard { inner, heap })
    }

    /// Whether the caller is the machine, called from inside the gate: the thread is the same, and
    /// interrupts are as they were, so no handler has taken the thread over.
    #[inline(always)]
    pub(crate) fn is_inside<K: Kernel>(&self) -> bool {
        let inside = self.inner.beside().load(Ordering::Relaxed);
        inside != NOBODY && inside == state(K::interrupts_enabled()) && self.is_caller::<K>()
    }

    /// Whether the thread that was seen inside is the caller.
    #[inline(always)]
    fn is_caller<K: Kernel>(&self) -> bool {
        // The number of that thread or of a later one, and not the caller's from an earlier visit.
        atomic::fence(Ordering::Acquire);
        self.thread.load(Ordering::Relaxed) == K::current_thread()
    }
}

/// The state of a gate with a thread inside.
#[inline(always)]
const fn state(enabled: bool) -> u8 {
    if enabled { ENABLED } else { MASKED }
}

impl<T> fmt::Debug for Gate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// Proof of being inside the gate.
pub(crate) struct GateGuard<'a, T> {
    inner: SpinCellGuard<'a, T, AtomicU8, Spin>,
    /// The heap, none of whose locks is held while the machine is called.
    pub(crate) heap: HeapNumber,
}

impl<T> Deref for GateGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for GateGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for GateGuard<'_, T> {
    fn drop(&mut self) {
        self.inner.cell().beside().store(NOBODY, Ordering::Relaxed);
    }
}
