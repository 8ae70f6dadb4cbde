//! The `Kernel` trait: the services that the heap needs from the kernel around it.

use core::{fmt, hint};

use crate::{AllocFlags, CpuSlot, Reentry, Report};

/// The number of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuId(pub u16);

/// Whether interrupts were enabled before they were disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "interrupts stay disabled until the state is restored"]
pub enum InterruptState {
    /// Interrupts were enabled.
    Enabled,
    /// Interrupts were masked already.
    Masked,
}

/// The services that the heap needs from the kernel around it: associated functions alone, which
/// work from the first instruction on, before and after the heap is initialised, on every CPU and
/// in every handler.
///
/// None of them may allocate from the heap.
pub trait Kernel: 'static {
    /// How many CPUs have spans of their own, from which they take slots without a lock: those with
    /// the numbers below. All others, and all CPUs of a kernel that says 0, share the heap's spans
    /// under a lock. So do all CPUs on machines that do not take memory back
    /// ([`Machine::DECOMMITS`](crate::Machine::DECOMMITS)), where code is as scarce as memory. A
    /// kernel that says 1 has one CPU, whose number the heap does not ask for.
    const CPUS: u16 = 0;

    /// The users of the heap that may come between two instructions of it on one CPU.
    const REENTRY: Reentry = Reentry::THREADS;

    /// Masks interrupts on this CPU. Returns whether they were enabled.
    ///
    /// Undo the call with [`restore_interrupts`](Self::restore_interrupts), on the same CPU, the
    /// last call first, and before a critical section of another kind that was open at the call
    /// ends. A call that is not undone leaves interrupts masked, or masked until such a section
    /// ends. Whatever was called before, interrupts are masked when this function returns: the
    /// promise that comes with the block of a firmware heap relies on that.
    fn disable_interrupts() -> InterruptState;

    /// Restores the state that [`disable_interrupts`](Self::disable_interrupts) returned.
    ///
    /// # Safety
    /// Of the calls of `disable_interrupts` on this CPU whose state was not restored yet, the last
    /// one returned `state`. Enabling interrupts at any other place would end the critical section
    /// of other code.
    ///
    /// ```
    /// use archipelago_api::{InterruptState, Kernel};
    ///
    /// fn enable<K: Kernel>() {
    ///     let state = K::disable_interrupts();
    ///     // SAFETY: the state is of the last call, just now.
    ///     unsafe { K::restore_interrupts(state) };
    /// }
    /// ```
    ///
    /// ```compile_fail,E0133
    /// use archipelago_api::{InterruptState, Kernel};
    ///
    /// fn enable<K: Kernel>() {
    ///     K::restore_interrupts(InterruptState::Enabled);
    /// }
    /// ```
    unsafe fn restore_interrupts(state: InterruptState);

    /// Whether interrupts are enabled on this CPU.
    #[must_use]
    fn interrupts_enabled() -> bool;

    /// The CPU that this runs on.
    #[must_use]
    fn current_cpu() -> CpuId {
        CpuId(0)
    }

    /// Calls `work` with the slot of the CPU that this runs on, or without one if the kernel keeps
    /// none: the heap then asks for the CPU's number, which takes it some instructions more.
    ///
    /// A kernel of several CPUs that own spans keeps one slot for each, beside what else it keeps
    /// for the CPU, where it finds it in an instruction or two. The slot may be another CPU's by
    /// the time that `work` uses it, if threads may come between and go on elsewhere.
    ///
    /// ```
    /// use archipelago_api::CpuSlot;
    ///
    /// /// What a kernel keeps for a CPU, at an address that a register of the CPU holds.
    /// struct Area {
    ///     heap: CpuSlot,
    ///     // ...
    /// }
    ///
    /// fn area_of_this_cpu() -> &'static Area {
    /// #   static AREA: Area = Area { heap: CpuSlot::new() };
    /// #   &AREA
    ///     // ...
    /// }
    ///
    /// // In the implementation of `Kernel`:
    /// fn with_cpu_slot<R>(work: impl FnOnce(Option<&CpuSlot>) -> R) -> R {
    ///     work(Some(&area_of_this_cpu().heap))
    /// }
    /// # assert!(with_cpu_slot(|slot| slot.is_some_and(CpuSlot::is_free)));
    /// ```
    #[inline(always)]
    fn with_cpu_slot<R>(work: impl FnOnce(Option<&CpuSlot>) -> R) -> R {
        work(None)
    }

    /// A number that tells apart the threads of control that may be inside the heap at once: any
    /// number, such as the address of the thread's control block. Every bit counts. The CPU's will
    /// do unless threads are preempted in the kernel; such a kernel returns the thread's. The heap
    /// uses it to report a mapper that allocates from within a call of the heap. A handler that
    /// enables interrupts again counts as a thread of its own, too.
    #[must_use]
    fn current_thread() -> usize {
        usize::from(Self::current_cpu().0)
    }

    /// The flags of a request that comes through `GlobalAlloc`, which cannot say how it may be
    /// served. A kernel that knows it is in an interrupt handler returns [`AllocFlags::ATOMIC`].
    #[must_use]
    fn context() -> AllocFlags {
        AllocFlags::empty()
    }

    /// Called over and over while the caller waits for another thread or another CPU: for the
    /// growth gate, or for a lock of the heap.
    ///
    /// The default tells the CPU that it spins. A kernel that preempts its threads and prefers some
    /// of them must let the others run: the waiting thread may be preferred to the one that it
    /// waits for, and then that one never goes on. Such a kernel yields to threads of any priority,
    /// or sleeps until the next tick.
    ///
    /// For the growth gate, interrupts are enabled and no lock of the heap is held, so that
    /// switching threads is allowed. For a lock of the heap, which its holder keeps for a few dozen
    /// instructions with interrupts masked, they are masked: then the holder runs on another CPU,
    /// and this function must neither switch threads nor enable interrupts. It may give the time of
    /// a virtual CPU back to a hypervisor. [`interrupts_enabled`](Self::interrupts_enabled) tells
    /// the two apart.
    #[inline]
    fn relax() {
        hint::spin_loop();
    }

    /// Stops the machine, because a caller broke a rule that the heap can check or because the
    /// heap's memory is corrupted. The report's `Display` names the address, span and class, and
    /// the rule. Heap locks may be held, so an implementation must not allocate.
    ///
    /// An implementation that panics, as those of hosted tests do, unwinds through the heap's own
    /// methods. It does not unwind through `GlobalAlloc`, where that is undefined: the program
    /// aborts.
    fn stop(report: &Report) -> !;
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {}", self.0)
    }
}
