//! Access under mutexes of the `lock_api` crate, whatever raw lock they are made of.

use core::hint;

use archipelago_api::{Busy, Patience};
use lock_api::{Mutex, RawMutex};

use crate::Locked;

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
        let mut guard = match patience {
            Patience::Wait => self.lock(),
            Patience::Try => self.try_lock().ok_or(Busy)?,
        };
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
            let mut tables = match patience {
                Patience::Wait => self.0.lock(),
                Patience::Try => self.0.try_lock().ok_or(Busy)?,
            };
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
