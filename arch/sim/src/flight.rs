//! The lock that stands for the kernel's own, and the record of the call in flight.

use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, ThreadId};

use archipelago_api::{Busy, Patience};

use crate::calls::Call;
use crate::violation::violation;

/// Takes a lock whose holder may have panicked: this machine panics on purpose.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock around mapper and frame allocator, which the kernel may hold for reasons of its own.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    lock: Mutex<()>,
    owner: Mutex<Option<ThreadId>>,
}

impl Gate {
    /// Takes the lock; `what` names the caller in messages.
    pub(crate) fn enter(
        &self,
        patience: Patience,
        what: &dyn fmt::Display,
    ) -> Result<Held<'_>, Busy> {
        let guard = match self.lock.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                if patience == Patience::Try {
                    return Err(Busy);
                }
                if *lock(&self.owner) == Some(thread::current().id()) {
                    violation(format_args!(
                        "{what} waits for a lock that its own thread holds"
                    ));
                }
                lock(&self.lock)
            }
        };
        *lock(&self.owner) = Some(thread::current().id());
        Ok(Held {
            gate: self,
            _guard: guard,
        })
    }
}

/// A guard of the machine's lock: until it is dropped, calls that may wait do so, and the others
/// return `Busy`.
#[derive(Debug)]
#[must_use = "the lock is free again as soon as this is dropped"]
pub struct Held<'a> {
    gate: &'a Gate,
    _guard: MutexGuard<'a, ()>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *lock(&self.gate.owner) = None;
    }
}

/// The record of the call in flight: one at a time, because the heap queues them.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    current: Mutex<Option<(Call, ThreadId)>>,
}

impl Flight {
    /// Records that `call` begins. The call ends when the result is dropped.
    pub(crate) fn begin(&self, call: Call) -> InFlight<'_> {
        let mut current = lock(&self.current);
        let other = current.replace((call, thread::current().id()));
        if let Some((other, thread)) = other {
            *current = Some((other, thread));
            drop(current);
            let place = if thread == thread::current().id() {
                "from within it"
            } else {
                "in another thread"
            };
            violation(format_args!(
                "{call} begins while {other} is in flight, {place}"
            ));
        }
        drop(current);
        InFlight { flight: self }
    }
}

/// A guard of the call in flight, which ends when the guard is dropped.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    flight: &'a Flight,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        *lock(&self.flight.current) = None;
    }
}
