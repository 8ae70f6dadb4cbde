//! A kernel of several CPUs, all of which one thread of the host is in turn, where handlers alone
//! come between.

use core::cell::Cell;

use archipelago::Report;
use archipelago_api::{CpuId, InterruptState, Kernel, Reentry};
use archipelago_sim::Hosted;

/// How many CPUs there are.
pub(super) const COUNT: u16 = 4;

thread_local! {
    static CPU: Cell<u16> = const { Cell::new(0) };
    static OFFLINE: Cell<u16> = const { Cell::new(0) };
    static ANSWERS: Cell<bool> = const { Cell::new(false) };
    static ASKED: Cell<usize> = const { Cell::new(0) };
    static BETWEEN: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// The kernel. It has no means to run work on other CPUs before [`Answering::answer`].
pub(super) struct Answering;

impl Answering {
    /// The code from here on runs on CPU `cpu`.
    pub(super) fn run_on(cpu: u16) {
        CPU.set(cpu);
    }

    /// The CPUs can run each other's work from now on.
    pub(super) fn answer() {
        ANSWERS.set(true);
    }

    /// How often the other CPUs were asked to run something, since the last call of this.
    pub(super) fn asked() -> usize {
        ASKED.take()
    }

    /// Takes a CPU offline, or brings it online.
    pub(super) fn set_online(cpu: u16, is_online: bool) {
        let others = OFFLINE.get() & !(1 << cpu);
        OFFLINE.set(others | u16::from(!is_online) << cpu);
    }

    /// Runs `work` the next time that interrupts are about to be masked, as a moment that another
    /// CPU uses.
    pub(super) fn between(work: fn()) {
        BETWEEN.set(Some(work));
    }
}

impl Kernel for Answering {
    const CPUS: u16 = COUNT;
    // SAFETY: work for another CPU returns before the code goes on that it comes between, and the
    // numbers are those of CPUs; one thread of the host is all of them, so that it sees what it
    // did on another.
    const REENTRY: Reentry = unsafe { Reentry::handlers() };

    fn disable_interrupts() -> InterruptState {
        if let Some(work) = BETWEEN.take() {
            work();
        }
        Hosted::disable_interrupts()
    }

    unsafe fn restore_interrupts(state: InterruptState) {
        // SAFETY: the caller's promise is the same.
        unsafe { Hosted::restore_interrupts(state) };
    }

    fn interrupts_enabled() -> bool {
        Hosted::interrupts_enabled()
    }

    fn current_cpu() -> CpuId {
        CpuId(CPU.get())
    }

    fn is_online(cpu: CpuId) -> bool {
        OFFLINE.get() >> cpu.0 & 1 == 0
    }

    fn on_other_cpus(work: &(dyn Fn() + Sync)) -> bool {
        assert!(Hosted::interrupts_enabled(), "the caller answers, too");
        if !ANSWERS.get() {
            return false;
        }
        ASKED.set(ASKED.get() + 1);
        let this = CPU.get();
        let others = (0..COUNT).filter(|cpu| *cpu != this);
        for cpu in others.filter(|cpu| Self::is_online(CpuId(*cpu))) {
            CPU.set(cpu);
            let state = Hosted::disable_interrupts();
            work();
            // SAFETY: the state is of the last call.
            unsafe { Hosted::restore_interrupts(state) };
        }
        CPU.set(this);
        true
    }

    fn stop(report: &Report) -> ! {
        Hosted::stop(report)
    }
}
