//! CPUs that the kernel did not declare.

use core::cell::Cell;
use core::panic::AssertUnwindSafe;
use std::panic;

use archipelago::{AllocFlags, Heap, Report};
use archipelago_api::{CpuId, InterruptState, Kernel};
use archipelago_sim::{Hosted, Plain32, Sim};
use archipelago_testing::{layout, lone_window};

thread_local! {
    static CPU: Cell<CpuId> = const { Cell::new(CpuId(0)) };
}

/// A kernel that declares three CPUs.
struct Three;

impl Kernel for Three {
    const CPUS: u16 = 3;

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
        CPU.get()
    }

    fn stop(report: &Report) -> ! {
        Hosted::stop(report)
    }
}

fn heap() -> Box<Heap<Sim<Plain32>, Three>> {
    let heap: Box<Heap<_, _>> = Box::default();
    heap.init(&[lone_window::<Plain32>(64 << 20)], Sim::default())
        .expect("a good window");
    heap
}

#[test]
fn a_cpu_that_the_kernel_did_not_declare_is_reported() {
    for number in [3, 4, 255, u16::MAX - 1] {
        let heap = heap();
        CPU.set(CpuId(number));
        let stopped = panic::catch_unwind(AssertUnwindSafe(|| {
            heap.allocate(layout(64, 8), AllocFlags::empty()).ok();
        }));
        let message = stopped.expect_err("the machine stops");
        let message = message.downcast_ref::<String>().expect("a message");
        assert_eq!(
            *message,
            format!(
                "archipelago: Kernel::current_cpu says CPU {number}, and Kernel::CPUS declares 3: \
                 declare more, or let it say CpuId::SHARED for a CPU that is to own no spans"
            )
        );
        // Nothing was held.
        CPU.set(CpuId(2));
        heap.allocate(layout(64, 8), AllocFlags::empty())
            .expect("memory");
        assert_eq!(heap.verify(), Ok(()));
    }
}

#[test]
fn whoever_has_no_number_of_his_own_is_served() {
    let heap = heap();
    CPU.set(CpuId::SHARED);
    let objects: Vec<_> = (0..500)
        .map(|_| {
            heap.allocate(layout(64, 8), AllocFlags::empty())
                .expect("memory")
        })
        .collect();
    assert!(archipelago::alloc_at_once(&heap, layout(64, 8)).is_err());
    for object in objects {
        // SAFETY: the object was allocated with this layout, and nothing uses it.
        unsafe { heap.deallocate(object.cast(), layout(64, 8)) };
    }
    assert_eq!(heap.verify(), Ok(()));
    assert_eq!(heap.stats().small_objects, 0);
}
