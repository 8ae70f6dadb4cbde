//! Strict priorities: a preferred thread that waits lets the others run.

use archipelago::{Heap, Report};
use archipelago_api::{CpuId, InterruptState, Kernel};
use archipelago_sim::{Hosted, Plain32, Sim};
use archipelago_testing::lone_window;

use super::scheduler::{self, Scheduler};
use super::use_heap;

/// A kernel that preempts threads under strict priorities. Those that wait sleep until the next
/// tick; only a CPU that waits for another one, with interrupts masked, spins.
struct Strict;

impl Kernel for Strict {
    fn disable_interrupts() -> InterruptState {
        Hosted::disable_interrupts()
    }

    unsafe fn restore_interrupts(state: InterruptState) {
        // SAFETY: the caller's promise is the same.
        unsafe { Hosted::restore_interrupts(state) };
        scheduler::timer_may_interrupt(5);
    }

    fn interrupts_enabled() -> bool {
        Hosted::interrupts_enabled()
    }

    fn current_cpu() -> CpuId {
        CpuId(scheduler::cpu())
    }

    fn current_thread() -> usize {
        scheduler::thread()
    }

    fn relax() {
        if Hosted::interrupts_enabled() {
            scheduler::sleep(1);
        } else {
            assert!(scheduler::cpus() > 1, "one CPU waits for none");
            Hosted::relax();
        }
    }

    fn stop(report: &Report) -> ! {
        Hosted::stop(report)
    }
}

#[test]
fn a_preferred_thread_that_waits_for_the_gate_lets_the_others_run() {
    static HEAP: Heap<Sim<Plain32>, Strict> = Heap::new();
    let machine = Sim::<Plain32>::default();
    // Every call of the machine is interrupted.
    machine.on_call(|_| scheduler::timer_may_interrupt(1));
    HEAP.init(&[lone_window::<Plain32>(64 << 20)], machine)
        .expect("a good window");
    for cpus in [1, 2] {
        Scheduler::run(cpus, 4, |number| {
            for round in 0..40 {
                use_heap(&HEAP, round);
                // Those that are preferred wait for an event now and then.
                scheduler::sleep(4 - u32::try_from(number).expect("few threads"));
            }
        });
        assert_eq!(HEAP.verify(), Ok(()));
    }
}
