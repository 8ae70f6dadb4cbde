//! The kernel of a process: each thread is a CPU, and nothing interrupts it.

use core::cell::Cell;
use core::hint;

use archipelago_api::{CpuId, CpuSlot, InterruptState, Kernel, Report};

use crate::{cpu, message};

/// The kernel of a process, in which each thread is a CPU.
///
/// Nothing interrupts a thread to use the heap: signal handlers must not. So there is nothing to
/// mask, and interrupts count as enabled always. The system switches threads anywhere, also while
/// they hold a lock of the heap, and one that waits lets others run.
///
/// A report is written to the standard error, without an allocation, and ends the program.
#[derive(Clone, Copy, Debug)]
pub struct HostKernel;

/// A thread that waits spins so often before it lets others run.
const SPINS: u32 = 64;

thread_local! {
    static SPUN: Cell<u32> = const { Cell::new(0) };
}

impl Kernel for HostKernel {
    const CPUS: u16 = cpu::COUNT;

    #[inline]
    fn disable_interrupts() -> InterruptState {
        InterruptState::Enabled
    }

    #[inline]
    unsafe fn restore_interrupts(_: InterruptState) {}

    #[inline]
    fn interrupts_enabled() -> bool {
        true
    }

    fn current_cpu() -> CpuId {
        cpu::current()
    }

    #[inline(always)]
    fn with_cpu_slot<R>(work: impl FnOnce(Option<&CpuSlot>) -> R) -> R {
        cpu::with_slot(|slot| work(Some(slot)))
    }

    #[inline]
    fn is_online(cpu: CpuId) -> bool {
        cpu::is_taken(cpu)
    }

    fn current_thread() -> usize {
        cpu::thread()
    }

    fn relax() {
        let spun = SPUN.get().wrapping_add(1);
        SPUN.set(spun);
        if spun % SPINS == 0 {
            std::thread::yield_now();
        } else {
            hint::spin_loop();
        }
    }

    fn stop(report: &Report) -> ! {
        message::print(report);
        std::process::abort()
    }
}
