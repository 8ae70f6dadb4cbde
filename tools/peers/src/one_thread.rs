//! The kernel of a process in which one thread uses the heap: what a kernel of one CPU without
//! handlers that allocate has.

use archipelago_api::{InterruptState, Kernel, Reentry, Report};
use archipelago_host::HostKernel;

/// One thread is the one CPU, and nothing interrupts it.
pub(crate) struct OneThread;

impl Kernel for OneThread {
    const CPUS: u16 = 1;
    // SAFETY: the heap is used by one thread alone, as its row in the list says, and by no signal
    // handler.
    const REENTRY: Reentry = unsafe { Reentry::nothing() };

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

    fn stop(report: &Report) -> ! {
        HostKernel::stop(report)
    }
}
