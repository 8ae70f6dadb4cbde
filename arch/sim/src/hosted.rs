//! The kernel of a test: each thread is a CPU.

use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use archipelago_api::kernels::Interrupts;
use archipelago_api::{AllocFlags, CpuId, InterruptState, Kernel, Report};

use crate::flight::lock;
use crate::violation::violation;

/// The kernel of a test. Each thread is a CPU with interrupts of its own, which begin enabled, and
/// is its own thread of control.
#[derive(Clone, Copy, Debug)]
pub struct Hosted;

/// The number of the next thread that needs one.
static NEXT_THREAD: AtomicUsize = AtomicUsize::new(1);

/// For each CPU number, whether a thread has it.
static CPUS: Mutex<Vec<bool>> = Mutex::new(Vec::new());

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(true) };
    static CONTEXT: Cell<AllocFlags> = const { Cell::new(AllocFlags::empty()) };
    static THREAD: Cell<Option<usize>> = const { Cell::new(None) };
    static CHOSEN_CPU: Cell<Option<CpuId>> = const { Cell::new(None) };
    static OWN_CPU: OwnCpu = OwnCpu::take();
}

/// The lowest CPU number that no other thread had, until this thread ends.
struct OwnCpu(CpuId);

impl OwnCpu {
    fn take() -> Self {
        let mut cpus = lock(&CPUS);
        let free = cpus.iter().position(|taken| !taken).unwrap_or_else(|| {
            cpus.push(false);
            cpus.len() - 1
        });
        cpus[free] = true;
        match u16::try_from(free) {
            Ok(number) => Self(CpuId(number)),
            Err(_) => violation(format_args!(
                "{free} threads are more CPUs than have numbers"
            )),
        }
    }
}

impl Drop for OwnCpu {
    fn drop(&mut self) {
        lock(&CPUS)[usize::from(self.0.0)] = false;
    }
}

impl Hosted {
    /// Makes this thread the given CPU, in place of the number of its own.
    pub fn set_cpu(cpu: CpuId) {
        CHOSEN_CPU.set(Some(cpu));
    }

    /// Makes this thread the given thread of control, by any number.
    pub fn set_thread(thread: usize) {
        THREAD.set(Some(thread));
    }

    /// Sets the flags that [`Kernel::context`] returns in this thread.
    pub fn set_context(flags: AllocFlags) {
        CONTEXT.set(flags);
    }
}

impl Interrupts for Hosted {
    fn disable() -> InterruptState {
        Self::disable_interrupts()
    }

    unsafe fn restore(state: InterruptState) {
        // SAFETY: the caller's promise is the same.
        unsafe { Self::restore_interrupts(state) };
    }

    fn are_enabled() -> bool {
        Self::interrupts_enabled()
    }
}

impl Kernel for Hosted {
    fn disable_interrupts() -> InterruptState {
        if ENABLED.replace(false) {
            InterruptState::Enabled
        } else {
            InterruptState::Masked
        }
    }

    unsafe fn restore_interrupts(state: InterruptState) {
        ENABLED.set(state == InterruptState::Enabled);
    }

    fn interrupts_enabled() -> bool {
        ENABLED.get()
    }

    fn current_cpu() -> CpuId {
        CHOSEN_CPU
            .get()
            .unwrap_or_else(|| OWN_CPU.with(|own| own.0))
    }

    fn current_thread() -> usize {
        THREAD.get().unwrap_or_else(|| {
            let new = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
            THREAD.set(Some(new));
            new
        })
    }

    fn context() -> AllocFlags {
        CONTEXT.get()
    }

    fn relax() {
        std::thread::yield_now();
    }

    /// Panics with the report, so that a test can expect it.
    #[expect(
        clippy::panic,
        reason = "a test sees that the heap stopped the machine by the panic"
    )]
    fn stop(report: &Report) -> ! {
        panic!("{report}")
    }
}

/// The kernel of a test that is [`Hosted`], but that its first CPUs own spans. All others are
/// [`CpuId::SHARED`].
#[derive(Clone, Copy, Debug)]
pub struct HostedCpus;

impl Kernel for HostedCpus {
    const CPUS: u16 = 8;

    fn disable_interrupts() -> InterruptState {
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
        let cpu = Hosted::current_cpu();
        if cpu.0 < Self::CPUS {
            cpu
        } else {
            CpuId::SHARED
        }
    }

    fn current_thread() -> usize {
        Hosted::current_thread()
    }

    fn context() -> AllocFlags {
        Hosted::context()
    }

    fn relax() {
        Hosted::relax();
    }

    fn stop(report: &Report) -> ! {
        Hosted::stop(report)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn interrupts_nest_and_belong_to_a_thread() {
        let outer = Hosted::disable_interrupts();
        let inner = Hosted::disable_interrupts();
        assert_eq!(
            (outer, inner),
            (InterruptState::Enabled, InterruptState::Masked)
        );
        assert!(
            thread::spawn(Hosted::interrupts_enabled)
                .join()
                .expect("no panic")
        );
        // SAFETY: the state is of the last call, which masked interrupts on this CPU.
        unsafe { Hosted::restore_interrupts(inner) };
        assert!(!Hosted::interrupts_enabled());
        // SAFETY: the state is of the last call, which masked interrupts on this CPU.
        unsafe { Hosted::restore_interrupts(outer) };
        assert!(Hosted::interrupts_enabled());
    }

    #[test]
    fn threads_that_live_at_once_are_different_cpus_and_threads() {
        let here = (Hosted::current_cpu(), Hosted::current_thread());
        let there = thread::spawn(|| (Hosted::current_cpu(), Hosted::current_thread()));
        let there = there.join().expect("no panic");
        assert_ne!(here.0, there.0);
        assert_ne!(here.1, there.1);
        assert_eq!(here, (Hosted::current_cpu(), Hosted::current_thread()));
    }

    #[test]
    fn a_test_chooses_cpu_thread_and_context() {
        // In a thread of its own, which may be the only one that runs tests otherwise.
        let chosen = thread::spawn(|| {
            Hosted::set_cpu(CpuId(7));
            Hosted::set_thread(70);
            Hosted::set_context(AllocFlags::ATOMIC);
            (
                Hosted::current_cpu(),
                Hosted::current_thread(),
                Hosted::context(),
            )
        });
        let chosen = chosen.join().expect("no panic");
        assert_eq!(chosen, (CpuId(7), 70, AllocFlags::ATOMIC));
    }

    #[test]
    #[should_panic(expected = "0x1000: freed twice")]
    fn stop_panics_with_the_report() {
        Hosted::stop(&Report {
            fault: archipelago_api::Fault::DoubleFree,
            address: Some(archipelago_api::VirtAddr::new(0x1000)),
            layout: None,
            span: None,
        });
    }
}
