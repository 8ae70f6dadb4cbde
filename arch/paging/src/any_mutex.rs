//! Access under mutexes of the `lock_api` crate, whatever raw lock they are made of.

use core::hint;

use archipelago_api::{Busy, Patience};
use lock_api::{Mutex, RawMutex};

use crate::Locked;
use crate::locked::take;

/// Waits once, as the mutex waits, and holds nothing afterwards.
fn wait_for<L: RawMutex, T>(mutex: &Mutex<L, T>) {
    drop(mutex.lock());
    hint::spin_loop();
}

/// Callers wait as the raw lock does. One that spins is wrong in a kernel that preempts threads
/// under strict priorities: there the raw lock yields or blocks.
impl<P, F, L> Locked<P, F> for &'static Mutex<L, (P, F)>
where
    P: Send + 'static,
    F: Send + 'static,
    L: RawMutex + Send + Sync + 'static,
{
    fn with<R>(
        &self,
        patience: Patience,
        work: impl FnOnce(&mut P, &mut F) -> R,
    ) -> Result<R, Busy> {
        let mut guard = take(patience, || self.lock(), || self.try_lock())?;
        let (tables, frames) = &mut *guard;
        Ok(work(tables, frames))
    }

    fn relax(&self) {
        wait_for(self);
    }
}

/// Never waits for one lock while it holds the other, so the kernel may take the two in any order.
/// Callers wait as the raw locks do.
impl<P, F, L, M> Locked<P, F> for (&'static Mutex<L, P>, &'static Mutex<M, F>)
where
    P: Send + 'static,
    F: Send + 'static,
    L: RawMutex + Send + Sync + 'static,
    M: RawMutex + Send + Sync + 'static,
{
    fn with<R>(
        &self,
        patience: Patience,
        work: impl FnOnce(&mut P, &mut F) -> R,
    ) -> Result<R, Busy> {
        loop {
            let mut tables = take(patience, || self.0.lock(), || self.0.try_lock())?;
            if let Some(mut frames) = self.1.try_lock() {
                return Ok(work(&mut tables, &mut frames));
            }
            drop(tables);
            if patience == Patience::Try {
                return Err(Busy);
            }
            wait_for(self.1);
        }
    }

    fn relax(&self) {
        wait_for(self.0);
    }
}
