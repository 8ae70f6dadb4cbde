//! Access to page tables and frame allocator under the locks of their kernel.

use core::fmt;
use core::hint;
use core::marker::PhantomData;

use archipelago_api::{Busy, Kernel, Patience};
use spin::mutex::Mutex;
use spin::relax::{RelaxStrategy, Spin};

/// Page tables `P` and a frame allocator `F`, guarded by the locks of their kernel.
///
/// Ready-made: [`Owned`] for a kernel that hands both over, and, for one that goes on using them,
/// `&'static spin::Mutex<(P, F)>` and `(&'static spin::Mutex<P>, &'static spin::Mutex<F>)`. They
/// wait as the mutex says: the mutex of a kernel that preempts threads is a
/// `spin::mutex::Mutex<_, `[`Relax<K>`](Relax)`>`. With the feature `lock_api`, references to any
/// `lock_api::Mutex` serve in the same two ways, and are waited for as their raw locks do. A kernel
/// with other locks writes the one function:
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

    /// Called over and over while a caller that may wait waits for another call of the machine.
    /// The default tells the CPU that it spins; see [`Kernel::relax`] for what a kernel that
    /// preempts threads has to do.
    fn relax(&self) {
        hint::spin_loop();
    }
}

/// Waiting for a spin lock in the way of the kernel `K`, by [`Kernel::relax`].
pub struct Relax<K>(PhantomData<fn() -> K>);

impl<K: Kernel> RelaxStrategy for Relax<K> {
    #[inline]
    fn relax() {
        K::relax();
    }
}

impl<K> fmt::Debug for Relax<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relax")
    }
}

/// Page tables and frame allocator that the machine owns, under a spin lock of its own. `S` says
/// how it is waited for: [`Relax<K>`](Relax) in a kernel that preempts threads.
pub struct Owned<P, F, S = Spin>(Mutex<(P, F), S>);

impl<P, F> Owned<P, F> {
    /// Takes ownership of both. Callers that wait spin.
    pub const fn new(tables: P, frames: F) -> Self {
        Self::waiting(tables, frames)
    }
}

impl<P, F, S> Owned<P, F, S> {
    /// Takes ownership of both. Callers wait as `S` says.
    pub const fn waiting(tables: P, frames: F) -> Self {
        Self(Mutex::new((tables, frames)))
    }
}

impl<P: fmt::Debug, F: fmt::Debug, S> fmt::Debug for Owned<P, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owned").field(&self.0).finish()
    }
}

/// Takes a lock as `patience` says: by `wait`, or else by `try_once`.
///
/// # Errors
/// [`Busy`] if `patience` is [`Patience::Try`] and the lock is held.
#[inline]
pub(crate) fn take<G>(
    patience: Patience,
    wait: impl FnOnce() -> G,
    try_once: impl FnOnce() -> Option<G>,
) -> Result<G, Busy> {
    match patience {
        Patience::Wait => Ok(wait()),
        Patience::Try => try_once().ok_or(Busy),
    }
}

fn with_pair<P, F, S: RelaxStrategy, R>(
    pair: &Mutex<(P, F), S>,
    patience: Patience,
    work: impl FnOnce(&mut P, &mut F) -> R,
) -> Result<R, Busy> {
    let mut guard = take(patience, || pair.lock(), || pair.try_lock())?;
    let (tables, frames) = &mut *guard;
    Ok(work(tables, frames))
}

impl<P, F, S> Locked<P, F> for Owned<P, F, S>
where
    P: Send + 'static,
    F: Send + 'static,
    S: RelaxStrategy + 'static,
{
    fn with<R>(
        &self,
        patience: Patience,
        work: impl FnOnce(&mut P, &mut F) -> R,
    ) -> Result<R, Busy> {
        with_pair(&self.0, patience, work)
    }

    fn relax(&self) {
        S::relax();
    }
}

impl<P, F, S> Locked<P, F> for &'static Mutex<(P, F), S>
where
    P: Send + 'static,
    F: Send + 'static,
    S: RelaxStrategy + 'static,
{
    fn with<R>(
        &self,
        patience: Patience,
        work: impl FnOnce(&mut P, &mut F) -> R,
    ) -> Result<R, Busy> {
        with_pair(self, patience, work)
    }

    fn relax(&self) {
        S::relax();
    }
}

impl<P, F, S> Locked<P, F> for (&'static Mutex<P, S>, &'static Mutex<F, S>)
where
    P: Send + 'static,
    F: Send + 'static,
    S: RelaxStrategy + 'static,
{
    /// Never waits for one lock while it holds the other, so the kernel may take the two in any
    /// order.
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
            S::relax();
        }
    }

    fn relax(&self) {
        S::relax();
    }
}
