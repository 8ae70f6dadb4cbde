//! Kernels of a process that differ from [`HostKernel`] in the CPUs that own spans.

use archipelago_api::{CpuId, InterruptState, Kernel, Reentry, Report};
use archipelago_host::HostKernel;

/// One thread uses the heap, as in a kernel of one CPU without handlers that allocate: the one CPU,
/// which nothing interrupts.
pub(crate) type OneThread = Owned<1>;

/// Threads share all spans, and leave their CPU's slot to the heap that is measured.
pub(crate) type Shared = Owned<0>;

/// A kernel of a process in which so many CPUs own spans.
pub(crate) struct Owned<const CPUS: u16>;

impl<const CPUS: u16> Kernel for Owned<CPUS> {
    const CPUS: u16 = CPUS;
    const REENTRY: Reentry = if CPUS == 1 {
        // SAFETY: the heap is used by one thread alone, as its row in the list says, and by no
        // signal handler.
        unsafe { Reentry::nothing() }
    } else {
        Reentry::THREADS
    };

    fn disable_interrupts() -> InterruptState {
        HostKernel::disable_interrupts()
    }

    unsafe fn restore_interrupts(state: InterruptState) {
        // SAFETY: the caller's promise is the same.
        unsafe { HostKernel::restore_interrupts(state) };
    }

    fn interrupts_enabled() -> bool {
        HostKernel::interrupts_enabled()
    }

    fn current_cpu() -> CpuId {
        HostKernel::current_cpu()
    }

    fn current_thread() -> usize {
        HostKernel::current_thread()
    }

    fn relax() {
        HostKernel::relax();
    }

    fn stop(report: &Report) -> ! {
        HostKernel::stop(report)
    }
}
