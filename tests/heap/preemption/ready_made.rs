//! The ready-made kernels: each serves the threads and CPUs that it is for, and the reports where a
//! kernel was chosen that is for fewer.

use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Barrier;
use std::{panic, thread};

use archipelago::context::{HandlerDepth, HandlerGuard, HandlersOf, PerCpu};
use archipelago::kernels::{
    Cpus, Interrupts, MultiCpu, MultiCpuThreads, SingleCpu, SingleCpuThreads, Threads,
};
use archipelago::{AllocFlags, CpuId, Heap, InterruptState, Kernel};
use archipelago_sim::{Hosted, Plain32, Sim};
use archipelago_testing::{layout, lone_window};

use super::scheduler::{self, Scheduler};
use super::use_heap;

/// Interrupts of a CPU whose timer goes off after locks.
struct Ticking;

impl Interrupts for Ticking {
    fn disable() -> InterruptState {
        Hosted::disable_interrupts()
    }

    unsafe fn restore(state: InterruptState) {
        // SAFETY: the caller's promise is the same.
        unsafe { Hosted::restore_interrupts(state) };
        scheduler::timer_may_interrupt(5);
    }

    fn are_enabled() -> bool {
        Hosted::interrupts_enabled()
    }
}

/// CPUs and threads of the simulated scheduler.
struct Scheduled;

impl Cpus for Scheduled {
    fn current_cpu() -> CpuId {
        CpuId(scheduler::cpu())
    }
}

impl Threads for Scheduled {
    /// As the address of a control block: those of two threads differ in the highest bits alone.
    fn current_thread() -> usize {
        (1 << 12) | scheduler::thread() << (usize::BITS - 2)
    }

    fn relax() {
        scheduler::sleep(1);
    }
}

/// A heap of which every call of the machine is interrupted.
fn interrupted_heap<K: Kernel>() -> Heap<Sim<Plain32>, K> {
    let machine = Sim::<Plain32>::default();
    machine.on_call(|_| scheduler::timer_may_interrupt(1));
    let heap = Heap::new();
    heap.init(&[lone_window::<Plain32>(64 << 20)], machine)
        .expect("a good window");
    heap
}

fn preempt_four_threads<K: Kernel>(cpus: u16) {
    let heap = interrupted_heap::<K>();
    let heap: &'static Heap<_, K> = Box::leak(Box::new(heap));
    Scheduler::run(cpus, 4, |number| {
        for round in 0..40 {
            use_heap(heap, round);
            scheduler::sleep(4 - u32::try_from(number).expect("few threads"));
        }
    });
    assert_eq!(heap.verify(), Ok(()));
}

#[test]
fn preemptive_threads_on_one_cpu() {
    preempt_four_threads::<SingleCpuThreads<Ticking, Scheduled>>(1);
}

#[test]
fn preemptive_threads_on_several_cpus() {
    preempt_four_threads::<MultiCpuThreads<Ticking, Scheduled, Scheduled>>(3);
}

/// Each of the host's threads is a CPU.
struct Real;

impl Cpus for Real {
    fn current_cpu() -> CpuId {
        Hosted::current_cpu()
    }
}

#[test]
fn several_cpus_without_preemption() {
    static HEAP: Heap<Sim<Plain32>, MultiCpu<Hosted, Real>> = Heap::new();
    HEAP.init(&[lone_window::<Plain32>(64 << 20)], Sim::default())
        .expect("a good window");
    let start = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                start.wait();
                (0..100).for_each(|round| use_heap(&HEAP, round));
            });
        }
    });
    assert_eq!(HEAP.verify(), Ok(()));
}

/// Runs threads, or CPUs, that the kernel `K` does not tell apart: the second allocates while the
/// first is inside the machine. Returns the report.
fn confuse<K: Kernel>() -> String {
    let machine = Sim::<Plain32>::default();
    let heap: &'static Heap<_, K> = Box::leak(Box::new(Heap::new()));
    heap.init(&[lone_window::<Plain32>(64 << 20)], machine.clone())
        .expect("a good window");
    machine.on_call(move |_| {
        // In the middle of the call, and on the same thread of the host: it makes no difference.
        heap.allocate(layout(24, 8), AllocFlags::empty()).ok();
    });
    let stopped = panic::catch_unwind(AssertUnwindSafe(|| {
        heap.allocate(layout(100_000, 8), AllocFlags::empty()).ok();
    }));
    machine.clear_hook();
    let message = stopped.expect_err("the second looks like the mapper");
    let message = message.downcast_ref::<String>();
    message.expect("a panic with a message").clone()
}

#[test]
fn a_report_names_what_the_kernel_may_have_mixed_up_and_no_address() {
    for report in [
        confuse::<SingleCpu<Hosted>>(),
        confuse::<MultiCpu<Hosted, Real>>(),
    ] {
        assert!(report.contains("Kernel::current_thread"), "{report}");
        assert!(report.contains("Kernel::current_cpu"), "{report}");
        assert!(!report.contains("0x"), "{report}");
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_handler_that_switches_threads_under_its_guard_is_caught() {
    static DEPTH: HandlerDepth = HandlerDepth::new();

    struct Counted;

    impl PerCpu for Counted {
        fn depth() -> &'static HandlerDepth {
            &DEPTH
        }
    }

    static THREAD: AtomicUsize = AtomicUsize::new(0);

    struct Chosen;

    impl Threads for Chosen {
        fn current_thread() -> usize {
            THREAD.load(Ordering::Relaxed)
        }
    }

    type Subject = SingleCpuThreads<Hosted, Chosen, HandlersOf<Counted>>;
    let guard = HandlerGuard::enter_on(&DEPTH);
    assert_eq!(Subject::context(), AllocFlags::ATOMIC);
    THREAD.store(1, Ordering::Relaxed);
    let caught = panic::catch_unwind(Subject::context).expect_err("the switch is found");
    let message = caught
        .downcast_ref::<&str>()
        .expect("a panic with a message");
    assert!(message.contains("drop the guard first"), "{message}");
    drop(guard);
    assert_eq!(Subject::context(), AllocFlags::empty());
}

/// The exceptions of a processor that tells which of them runs.
struct Telling;

static EXCEPTION: AtomicUsize = AtomicUsize::new(0);

impl Interrupts for Telling {
    fn disable() -> InterruptState {
        Hosted::disable_interrupts()
    }

    unsafe fn restore(state: InterruptState) {
        // SAFETY: the caller's promise is the same.
        unsafe { Hosted::restore_interrupts(state) };
    }

    fn are_enabled() -> bool {
        Hosted::interrupts_enabled()
    }

    fn exception() -> u16 {
        u16::try_from(EXCEPTION.load(Ordering::Relaxed)).expect("a small number")
    }
}

#[test]
fn handlers_of_exceptions_are_atomic_and_threads_of_their_own() {
    type Subject = SingleCpuThreads<Telling, Scheduled>;
    let mut threads = Vec::new();
    for exception in 0..3 {
        EXCEPTION.store(exception, Ordering::Relaxed);
        let expected = if exception == 0 {
            AllocFlags::empty()
        } else {
            AllocFlags::ATOMIC
        };
        assert_eq!(Subject::context(), expected);
        threads.push(Subject::current_thread());
    }
    EXCEPTION.store(0, Ordering::Relaxed);
    threads.dedup();
    assert_eq!(threads.len(), 3);
}
