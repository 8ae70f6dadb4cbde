//! What the heap needs from the kernel around it.

use core::fmt;

use crate::{AllocFlags, Report};

/// The number of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuId(pub u16);

/// Whether interrupts were enabled before they were disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "interrupts stay disabled until the state is restored"]
pub enum InterruptState {
    /// They were enabled.
    Enabled,
    /// They were masked already.
    Masked,
}

/// What the heap needs from the kernel around it: associated functions alone, which work from the
/// first instruction on, before and after the heap is initialised, on every CPU and in every
/// handler.
///
/// None of them may allocate from the heap.
pub trait Kernel: 'static {
    /// Masks interrupts on this CPU and says whether they were enabled.
    fn disable_interrupts() -> InterruptState;

    /// Restores what [`disable_interrupts`](Self::disable_interrupts) answered.
    fn restore_interrupts(state: InterruptState);

    /// Whether interrupts are enabled on this CPU.
    #[must_use]
    fn interrupts_enabled() -> bool;

    /// The CPU that this runs on.
    #[must_use]
    fn current_cpu() -> CpuId {
        CpuId(0)
    }

    /// A number that tells apart the threads of control that may be inside the heap at once. The
    /// CPU's will do unless threads are preempted in the kernel; such a kernel answers the
    /// thread's. The heap uses it to report a mapper that allocates from within a call of the heap.
    /// A handler that enables interrupts again counts as a thread of its own, too.
    #[must_use]
    fn current_thread() -> usize {
        usize::from(Self::current_cpu().0)
    }

    /// The flags of a request that comes through `GlobalAlloc`, which cannot say how it may be
    /// served. A kernel that knows it is in an interrupt handler answers [`AllocFlags::ATOMIC`].
    #[must_use]
    fn context() -> AllocFlags {
        AllocFlags::empty()
    }

    /// Stops the machine, because somebody broke a rule that the heap can see or because its memory
    /// is corrupted. The report's `Display` says which address, span and class, and what was wrong.
    /// Heap locks may be held: nothing here may allocate.
    fn stop(report: &Report) -> !;
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {}", self.0)
    }
}
