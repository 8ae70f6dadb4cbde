//! A simulated kernel: interrupts come between any two instructions while they are not masked.

use core::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};

use archipelago_host::{AllocFlags, CpuId, CpuSlot, InterruptState, Kernel, Reentry, Report};

use crate::trap;

/// Whether interrupts are masked. Other CPUs than the one that runs stand still.
static MASKED: AtomicBool = AtomicBool::new(false);

/// Whether instructions were stepped when interrupts were masked. Meanwhile they need not be.
static IS_STEPPED: AtomicBool = AtomicBool::new(false);

/// The CPU that runs.
static CPU: AtomicU16 = AtomicU16::new(0);

/// The slots of CPUs.
static SLOTS: [CpuSlot; 3] = [const { CpuSlot::new() }; 3];

/// Whether a handler runs.
static IN_HANDLER: AtomicBool = AtomicBool::new(false);

/// A kernel of so many CPUs, whose interrupts switch threads or, as it says, do not.
#[derive(Debug)]
pub(crate) struct Stepped<const CPUS: u16, const PREEMPTS: bool>;

/// Whether an interrupt may come now.
pub(crate) fn interrupts_are_enabled() -> bool {
    !MASKED.load(Relaxed)
}

/// Runs `handler` as an interrupt does, on CPU `cpu`.
pub(crate) fn interrupt(cpu: u16, handler: impl FnOnce()) {
    let interrupted = CPU.swap(cpu, Relaxed);
    MASKED.store(true, Relaxed);
    IN_HANDLER.store(true, Relaxed);
    handler();
    IN_HANDLER.store(false, Relaxed);
    MASKED.store(false, Relaxed);
    CPU.store(interrupted, Relaxed);
}

/// The thread that runs goes on on CPU `cpu`.
pub(crate) fn migrate(cpu: u16) {
    CPU.store(cpu, Relaxed);
}

impl<const CPUS: u16, const PREEMPTS: bool> Kernel for Stepped<CPUS, PREEMPTS> {
    const CPUS: u16 = CPUS;
    const REENTRY: Reentry = if PREEMPTS {
        Reentry::THREADS
    } else {
        // SAFETY: the test runs handlers alone between two instructions, on the CPU that they
        // interrupt.
        unsafe { Reentry::handlers() }
    };

    fn disable_interrupts() -> InterruptState {
        // Nothing comes between that does not restore what it finds.
        if MASKED.load(Relaxed) {
            return InterruptState::Masked;
        }
        MASKED.store(true, Relaxed);
        IS_STEPPED.store(trap::clear_flag(), Relaxed);
        InterruptState::Enabled
    }

    unsafe fn restore_interrupts(state: InterruptState) {
        if state == InterruptState::Enabled {
            let is_stepped = IS_STEPPED.load(Relaxed);
            MASKED.store(false, Relaxed);
            trap::set_flag(is_stepped);
        }
    }

    fn interrupts_enabled() -> bool {
        interrupts_are_enabled()
    }

    fn current_cpu() -> CpuId {
        CpuId(CPU.load(Relaxed))
    }

    /// Kernels that do not switch threads keep no slots, so that both ways are tried.
    fn with_cpu_slot<R>(work: impl FnOnce(Option<&CpuSlot>) -> R) -> R {
        work(
            SLOTS
                .get(usize::from(CPU.load(Relaxed)))
                .filter(|_| PREEMPTS),
        )
    }

    /// One thread runs at a time, and nothing interrupts the machine that could call it.
    fn current_thread() -> usize {
        0
    }

    fn context() -> AllocFlags {
        if IN_HANDLER.load(Relaxed) {
            AllocFlags::ATOMIC
        } else {
            AllocFlags::empty()
        }
    }

    fn stop(report: &Report) -> ! {
        trap::fault(format_args!("{report}"))
    }
}
