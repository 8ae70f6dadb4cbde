//! Ready-made kernels, for the common ways of running threads on CPUs.
//!
//! | CPUs | threads are switched | kernel |
//! | --- | --- | --- |
//! | one | nowhere, or only where they ask for it | [`SingleCpu`] |
//! | one | by interrupts | [`SingleCpuThreads`] |
//! | several | nowhere, or only where they ask for it | [`MultiCpu`] |
//! | several | by interrupts | [`MultiCpuThreads`] |
//!
//! The crate of each machine has them with its own [`Interrupts`], so that a kernel names what is
//! left: its [`Cpus`], its [`Threads`] and the [`Context`] of requests through `GlobalAlloc`. A
//! thread that asks to be switched while the mapper or the frame allocator runs, or a lock of
//! theirs is waited for, counts as switched by interrupts.

use core::hint;
use core::marker::PhantomData;

use crate::context::{Context, Ordinary};
use crate::{AllocFlags, CpuId, CpuSlot, InterruptState, Kernel, Reentry, Report};

/// Masking interrupts on one kind of CPU.
pub trait Interrupts: 'static {
    /// Masks interrupts on this CPU. Returns whether they were enabled.
    fn disable() -> InterruptState;

    /// Restores the state that [`disable`](Self::disable) returned.
    ///
    /// # Safety
    /// As for [`Kernel::restore_interrupts`].
    unsafe fn restore(state: InterruptState);

    /// Whether interrupts are enabled on this CPU, and the code may wait for what it interrupted:
    /// in the handler of an exception they count as masked.
    fn are_enabled() -> bool;

    /// The number of the exception whose handler runs, at most 2^16, where the processor tells; 0
    /// outside of handlers, and on other processors everywhere.
    #[must_use]
    #[inline]
    fn exception() -> u16 {
        0
    }
}

/// The CPUs of a kernel.
///
/// Requests take the fewest instructions where CPUs own spans, and the kernel promises that no
/// other thread comes between two instructions of the heap:
///
/// ```
/// use archipelago_api::kernels::{Cpus, Interrupts, MultiCpu};
/// use archipelago_api::{CpuId, Kernel, Reentry};
/// # fn number_of_this_cpu() -> u16 { 0 }
///
/// /// Up to eight CPUs, numbered from 0 on, whose threads are switched where they ask for it.
/// enum Cooperative {}
///
/// impl Cpus for Cooperative {
///     const OWN_SPANS: u16 = 8;
///     // SAFETY: no interrupt switches threads, and each CPU has a number of its own.
///     const REENTRY: Reentry = unsafe { Reentry::handlers() };
///
///     fn current_cpu() -> CpuId {
///         CpuId(number_of_this_cpu())
///     }
/// }
///
/// fn promises<I: Interrupts>() -> bool {
///     <MultiCpu<I, Cooperative>>::REENTRY.is_by_handlers()
/// }
/// ```
pub trait Cpus: 'static {
    /// Whether there may be more than one.
    const SEVERAL: bool = true;

    /// How many of them own spans of the heap, those with the lowest numbers: see
    /// [`Kernel::CPUS`].
    const OWN_SPANS: u16 = 0;

    /// The users of the heap that may come between two instructions of it on one of them: see
    /// [`Kernel::REENTRY`]. All may, unless the kernel promises otherwise: only who knows all of
    /// its threads and handlers can do that, so that [`OneCpu`] does not.
    const REENTRY: Reentry = Reentry::THREADS;

    /// The CPU that this runs on. No two CPUs have one number, but for [`CpuId::SHARED`].
    fn current_cpu() -> CpuId;

    /// Calls `work` with the slot of the CPU that this runs on, if there are slots: see
    /// [`Kernel::with_cpu_slot`].
    #[inline(always)]
    fn with_slot<R>(work: impl FnOnce(Option<&CpuSlot>) -> R) -> R {
        work(None)
    }

    /// Whether the CPU may be using the heap: see [`Kernel::is_online`].
    #[must_use]
    #[inline]
    fn is_online(cpu: CpuId) -> bool {
        let _ = cpu;
        true
    }

    /// Runs `work` on every other CPU that is online: see [`Kernel::on_other_cpus`].
    fn on_other_cpus(work: &(dyn Fn() + Sync)) -> bool {
        let _ = work;
        false
    }
}

/// The threads of a kernel that switches them in interrupts.
///
/// ```
/// use archipelago_api::kernels::Threads;
/// # struct Task;
/// # fn current_task() -> *const Task { core::ptr::null() }
/// # fn sleep_one_tick() {}
///
/// struct Scheduled;
///
/// impl Threads for Scheduled {
///     fn current_thread() -> usize {
///         current_task().addr() // Control blocks have addresses of their own.
///     }
///
///     fn relax() {
///         sleep_one_tick(); // Threads of any priority run meanwhile.
///     }
/// }
/// ```
pub trait Threads: 'static {
    /// A number that no other thread has; see [`Kernel::current_thread`].
    fn current_thread() -> usize;

    /// Called over and over while the thread waits for another that uses the machine. Interrupts
    /// are enabled and the heap holds no lock. The default spins: right where threads take turns. A
    /// kernel that prefers some threads to others lets the others run; see [`Kernel::relax`].
    #[inline]
    fn relax() {
        hint::spin_loop();
    }
}

/// The one CPU of a kernel. It owns spans, on machines where CPUs do.
///
/// A kernel that can promise more of its [`REENTRY`](Cpus::REENTRY) has a type of its own in the
/// place of this one, for [`MultiCpu`] or [`MultiCpuThreads`], with `SEVERAL` false as here.
#[derive(Debug)]
pub enum OneCpu {}

impl Cpus for OneCpu {
    const SEVERAL: bool = false;
    const OWN_SPANS: u16 = 1;

    #[inline]
    fn current_cpu() -> CpuId {
        CpuId(0)
    }
}

/// The threads of a kernel on the CPUs `P` that no interrupt switches: one for each CPU, as far as
/// the heap can tell.
#[derive(Debug)]
pub struct OneForEach<P> {
    _cpus: PhantomData<P>,
}

impl<P: Cpus> Threads for OneForEach<P> {
    #[inline]
    fn current_thread() -> usize {
        usize::from(P::current_cpu().0)
    }
}

/// For one CPU whose kernel switches threads only where they ask for it, if it has any. `C` says
/// which flags requests through `GlobalAlloc` have.
///
/// Where interrupts switch threads, use [`SingleCpuThreads`]: to this kernel all threads are one,
/// so that a second thread is taken for a mapper that allocates.
pub type SingleCpu<I, C = Ordinary> = ReadyMade<I, OneCpu, OneForEach<OneCpu>, C>;

/// For one CPU whose kernel switches the threads `T` in interrupts. `C` says which flags requests
/// through `GlobalAlloc` have.
pub type SingleCpuThreads<I, T, C = Ordinary> = ReadyMade<I, OneCpu, T, C>;

/// For several CPUs `P` whose kernel switches threads only where they ask for it. `C` says which
/// flags requests through `GlobalAlloc` have.
pub type MultiCpu<I, P, C = Ordinary> = ReadyMade<I, P, OneForEach<P>, C>;

/// For several CPUs `P` whose kernel switches the threads `T` in interrupts. `C` says which flags
/// requests through `GlobalAlloc` have.
pub type MultiCpuThreads<I, P, T, C = Ordinary> = ReadyMade<I, P, T, C>;

/// A kernel that masks interrupts by `I`, on the CPUs `P` with the threads `T`, and stops with a
/// panic whose message is the report. [`SingleCpu`] and its neighbours say which to use.
///
/// A request through `GlobalAlloc` has the flags that the context `C` says. In the handler of an
/// exception that the processor tells of, it is [`ATOMIC`](AllocFlags::ATOMIC), and the handler
/// counts as a thread of its own.
#[derive(Debug)]
pub struct ReadyMade<I, P, T, C> {
    _parts: PhantomData<(I, P, T, C)>,
}

impl<I: Interrupts, P: Cpus, T: Threads, C: Context> Kernel for ReadyMade<I, P, T, C> {
    const CPUS: u16 = {
        assert!(
            P::OWN_SPANS != 1 || !P::SEVERAL,
            "where one CPU owns spans, it is the only one: `SEVERAL` is false, or let more own them"
        );
        P::OWN_SPANS
    };
    const REENTRY: Reentry = P::REENTRY;

    #[inline]
    fn disable_interrupts() -> InterruptState {
        I::disable()
    }

    #[inline]
    unsafe fn restore_interrupts(state: InterruptState) {
        // SAFETY: the caller's promise is the same.
        unsafe { I::restore(state) };
    }

    #[inline]
    fn interrupts_enabled() -> bool {
        I::are_enabled()
    }

    #[inline]
    fn current_cpu() -> CpuId {
        P::current_cpu()
    }

    #[inline(always)]
    fn with_cpu_slot<R>(work: impl FnOnce(Option<&CpuSlot>) -> R) -> R {
        P::with_slot(work)
    }

    #[inline]
    fn is_online(cpu: CpuId) -> bool {
        P::is_online(cpu)
    }

    fn on_other_cpus(work: &(dyn Fn() + Sync)) -> bool {
        P::on_other_cpus(work)
    }

    #[inline]
    fn current_thread() -> usize {
        match I::exception() {
            0 => T::current_thread(),
            // Neither the address of a control block nor a thread's place in a table.
            exception => !usize::from(exception),
        }
    }

    #[inline]
    fn context() -> AllocFlags {
        const {
            assert!(
                C::SEVERAL_CPUS || !P::SEVERAL,
                "Handlers counts the handlers of one CPU: use HandlersOf on several"
            );
        }
        if I::exception() != 0 {
            return AllocFlags::ATOMIC;
        }
        if cfg!(debug_assertions) {
            C::asked_by(T::current_thread());
        }
        C::flags()
    }

    #[inline]
    fn relax() {
        if I::are_enabled() {
            T::relax();
        } else {
            hint::spin_loop();
        }
    }

    #[expect(clippy::panic, reason = "a panic is how this kernel stops")]
    fn stop(report: &Report) -> ! {
        panic!("{report}")
    }
}
