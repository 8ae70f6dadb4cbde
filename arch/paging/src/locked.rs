//! Access to page tables and frame allocator under the locks of their kernel.

use core::hint;

use archipelago_api::{Busy, Patience};
use spin::Mutex;

/// Page tables `P` and a frame allocator `F`, guarded by the locks of their kernel.
///
/// Ready-made: [`Owned`] for a kernel that hands both over, and, for one that goes on using them,
/// `&'static spin::Mutex<(P, F)>` and `(&'static spin::Mutex<P>, &'static spin::Mutex<F>)`. A
/// kernel with other locks writes the one function:
///
/// ```
/// use archipelago_api::{Busy, Patience};
/// use archipelago_paging::Locked;
/// use std::sync::Mutex; // Stands for the kernel's lock.
///
/// struct Guarded<P: 'static, F: 'static>(&'static Mutex<(P, F)>);
///
/// impl<P: Send + 'static, F: Send + 'static> Locked<P, F> for Guarded<P, F> {
///     fn with<R>(
///         &self,
///         patience: Patience,
///         work: impl FnOnce(&mut P, &mut F) -> R,
///     ) -> Result<R, Busy> {
///         let guard = match patience {
///             Patience::Wait => self.0.lock().ok(),
///             Patience::Try => self.0.try_lock().ok(),
///         };
///         let mut guard = guard.ok_or(Busy)?;
///         let (tables, frames) = &mut *guard;
///         Ok(work(tables, frames))
///     }
/// }
/// ```
pub trait Locked<P, F>: Send + Sync + 'static {
    /// Runs `work` with both locks held. Under [`Patience::Try`] each lock is tried once and never
    /// waited for; under [`Patience::Wait`] the call never returns [`Busy`]. Interrupts stay as
    /// they are: a handler that interrupts `work` calls with `Try`.
    ///
    /// # Errors
    /// [`Busy`] if `patience` is [`Patience::Try`] and a lock is held. `work` has not run then.
    fn with<R>(
        &self,
        patience: Patience,
        work: impl FnOnce(&mut P, &mut F) -> R,
    ) -> Result<R, Busy>;
}

/// Page tables and frame allocator that the machine owns, under a spin lock of its own.
#[derive(Debug)]
pub struct Owned<P, F>(Mutex<(P, F)>);

impl<P, F> Owned<P, F> {
    /// Takes ownership of both.
    pub const fn new(tables: P, frames: F) -> Self {
        Self(Mutex::new((tables, frames)))
    }
}

fn with_pair<P, F, R>(
    pair: &Mutex<(P, F)>,
    patience: Patience,
    work: impl FnOnce(&mut P, &mut F) -> R,
) -> Result<R, Busy> {
    let mut guard = match patience {
        Patience::Wait => pair.lock(),
        Patience::Try => pair.try_lock().ok_or(Busy)?,
    };
    let (tables, frames) = &mut *guard;
    Ok(work(tables, frames))
}

impl<P: Send + 'static, F: Send + 'static> Locked<P, F> for Owned<P, F> {
    fn with<R>(
        &self,
        patience: Patience,
        work: impl FnOnce(&mut P, &mut F) -> R,
    ) -> Result<R, Busy> {
        with_pair(&self.0, patience, work)
    }
}

impl<P: Send + 'static, F: Send + 'static> Locked<P, F> for &'static Mutex<(P, F)> {
    fn with<R>(
        &self,
        patience: Patience,
        work: impl FnOnce(&mut P, &mut F) -> R,
    ) -> Result<R, Busy> {
        with_pair(self, patience, work)
    }
}

impl<P: Send + 'static, F: Send + 'static> Locked<P, F> for (&'static Mutex<P>, &'static Mutex<F>) {
    /// Never waits for one lock while it holds the other, so the kernel may take the two in any
    /// order.
    fn with<R>(
        &self,
        patience: Patience,
        work: impl FnOnce(&mut P, &mut F) -> R,
    ) -> Result<R, Busy> {
        loop {
            let tables = match patience {
                Patience::Wait => Some(self.0.lock()),
                Patience::Try => self.0.try_lock(),
            };
            if let Some(mut tables) = tables {
                if let Some(mut frames) = self.1.try_lock() {
                    return Ok(work(&mut tables, &mut frames));
                }
            }
            if patience == Patience::Try {
                return Err(Busy);
            }
            hint::spin_loop();
        }
    }
}
