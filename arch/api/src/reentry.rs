//! The users of the heap that may come between two instructions of it on one CPU.

/// The users of the heap that may come between two instructions of it on one CPU: the fewer may,
/// the fewer instructions a request takes.
///
/// The heap relies on it for its own state, so that all but the most careful value are made by
/// unsafe functions.
///
/// ```
/// use archipelago_api::Reentry;
///
/// // SAFETY: threads are switched outside the heap alone, and each CPU has a number of its own.
/// const HANDLERS: Reentry = unsafe { Reentry::handlers() };
/// assert!(HANDLERS.is_by_handlers() && !HANDLERS.is_by_threads());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reentry(Reach);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Nothing,
    Handlers,
    Threads,
}

impl Reentry {
    /// All users: interrupts switch threads, which may go on on another CPU, and `current_cpu` may
    /// be wrong by the time that it returns.
    pub const THREADS: Self = Self(Reach::Threads);

    /// Handlers, which return before the interrupted code goes on.
    ///
    /// # Safety
    /// - Between two instructions of the heap on one CPU, nothing else uses the heap there but
    ///   handlers that interrupt it and return before it goes on.
    /// - No two CPUs have the same number at the same time, but for [`CpuId::SHARED`], and if
    ///   [`Kernel::CPUS`] is 1, one CPU alone uses the heap.
    /// - A slot goes with one number for good: a CPU that gets another number gets another slot.
    /// - [`Kernel::is_online`] keeps the promise of its documentation, as the provided one does.
    ///
    /// [`CpuId::SHARED`]: crate::CpuId::SHARED
    /// [`Kernel::CPUS`]: crate::Kernel::CPUS
    /// [`Kernel::is_online`]: crate::Kernel::is_online
    #[must_use]
    pub const unsafe fn handlers() -> Self {
        Self(Reach::Handlers)
    }

    /// No users: handlers do not use the heap, and threads are switched outside it alone.
    ///
    /// # Safety
    /// - Between two instructions of the heap on one CPU, nothing else uses the heap there.
    /// - No two CPUs have the same number at the same time, but for [`CpuId::SHARED`], and if
    ///   [`Kernel::CPUS`] is 1, one CPU alone uses the heap.
    /// - A slot goes with one number for good: a CPU that gets another number gets another slot.
    ///
    /// [`CpuId::SHARED`]: crate::CpuId::SHARED
    /// [`Kernel::CPUS`]: crate::Kernel::CPUS
    #[must_use]
    pub const unsafe fn nothing() -> Self {
        Self(Reach::Nothing)
    }

    /// Whether other threads may come between.
    #[must_use]
    pub const fn is_by_threads(self) -> bool {
        matches!(self.0, Reach::Threads)
    }

    /// Whether nothing but handlers may come between, and they may.
    #[must_use]
    pub const fn is_by_handlers(self) -> bool {
        matches!(self.0, Reach::Handlers)
    }
}
