//! The `Kernel` trait: the services that the heap needs from the kernel around it.

use core::{fmt, hint};

use crate::{AllocFlags, CpuSlot, Reentry, Report};

/// The number of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuId(pub u16);

impl CpuId {
    /// The number of whoever has none of his own: a CPU before it is numbered, or one more than the
    /// kernel declared. All that have it share the heap's spans under a lock, as they do in a
    /// kernel whose CPUs own none.
    pub const SHARED: Self = Self(u16::MAX);
}

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
    /// the numbers below. Whoever is [`CpuId::SHARED`], and all CPUs of a kernel that says 0, share
    /// the heap's spans under a lock. So do all CPUs on machines that do not take memory back
    /// ([`Machine::DECOMMITS`](crate::Machine::DECOMMITS)), where code is as scarce as memory. A
    /// kernel that says 1 has one CPU, whose number the heap does not ask for.
    ///
    /// Any other number stops the machine ([`Fault::UndeclaredCpu`](crate::Fault::UndeclaredCpu))
    /// when a request of that CPU makes the heap grow.
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
    /// for the CPU, where it finds it in an instruction or two. A slot goes with the number of its
    /// CPU for good: a CPU that gets another number gets another slot. The slot may be another
    /// CPU's by the time that `work` uses it, if threads may come between and go on elsewhere.
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

    /// Whether the CPU may be using the heap. While the answer is no, nobody uses the heap with the
    /// number or the slot of that CPU, and nobody begins to before the answer is yes. The heap then
    /// takes the CPU's free memory back: before it grows, when it scavenges, and before it refuses
    /// a request. It asks for CPUs that have used it before, with interrupts masked or enabled,
    /// inside the growth gate or outside it, and under a lock. The answer takes a few instructions,
    /// and waits for nothing.
    ///
    /// Where interrupts switch threads ([`Reentry::THREADS`]) a wrong answer costs nothing: spans
    /// are entered by an exchange there, and whoever finds them entered does without them. So the
    /// number of a thread that has ended may go to a new one at any moment. Under
    /// [`Reentry::handlers`] the promise has two more parts, since the heap enters such a CPU's
    /// spans itself. Under [`Reentry::nothing`] the heap does not ask.
    ///
    /// - A CPU that goes: whoever reads the answer no sees all that the CPU did before, as by a
    ///   store with release and a load with acquire.
    /// - A CPU that comes: between the store that makes the answer yes and the CPU's next use of
    ///   the heap there is a sequentially consistent fence, on the CPU that stores it, and the CPU
    ///   that comes sees the store.
    ///
    /// The default says yes, always.
    #[must_use]
    #[inline]
    fn is_online(cpu: CpuId) -> bool {
        let _ = cpu;
        true
    }

    /// Runs `work` once on every other CPU that is online, in the handler of an interrupt or with
    /// interrupts masked in any other way, and returns `true` after all of them have returned from
    /// it; `false`, without running it, if the kernel has no means of that. By this the heap gets
    /// at free memory that other CPUs keep, before it refuses a request and when it scavenges:
    /// under [`Reentry::handlers`], where nobody else may touch the spans of a CPU. Where threads
    /// may come between it needs no help, and under [`Reentry::nothing`] it does not ask, since
    /// `work` would come between.
    ///
    /// The heap calls it with interrupts enabled, holding none of its locks nor the growth gate, so
    /// that the caller answers while it waits, and two CPUs that call it at once answer each other.
    /// A thread that holds a lock of the kernel's which others take with interrupts masked must not
    /// make requests that may grow the heap, as is so for shoot-downs of a TLB. `work` allocates
    /// nothing, and never waits for code that it interrupted: it takes locks of the heap, each for
    /// a few dozen instructions, which nobody holds with interrupts enabled. Its time is linear in
    /// the spans that the CPU gives up.
    ///
    /// A CPU that is interrupted inside its spans gives nothing up. Each time that the heap wants
    /// memory, it asks all CPUs up to three times as long as there is such a one, calls
    /// [`relax`](Self::relax) in between, and then does without: what that CPU keeps is left
    /// behind, and so is what one keeps that is offline for the kernel but not for
    /// [`is_online`](Self::is_online). A request that is refused after several steps has asked
    /// before each of them, and at last for free slots of full spans in up to three places.
    fn on_other_cpus(work: &(dyn Fn() + Sync)) -> bool {
        let _ = work;
        false
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
