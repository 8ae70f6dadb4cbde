//! Spans that are handed over at some moment of a free by the CPU that owned them.

use core::cell::Cell;
use core::ptr::NonNull;

use archipelago::{AllocFlags, Heap, Report};
use archipelago_api::{CpuId, InterruptState, Kernel};
use archipelago_sim::{Hosted, Plain32, Sim};
use archipelago_testing::{layout, lone_window};

/// Work that comes between, and after how many questions for the CPU.
type Between = Option<(usize, fn())>;

thread_local! {
    static BETWEEN: Cell<Between> = const { Cell::new(None) };
}

/// A kernel whose threads are switched when the heap asks for the CPU.
struct Switched;

impl Kernel for Switched {
    const CPUS: u16 = 2;

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
        match BETWEEN.take() {
            Some((0, work)) => work(),
            Some((more, work)) => BETWEEN.set(Some((more - 1, work))),
            None => {}
        }
        Hosted::current_cpu()
    }

    fn stop(report: &Report) -> ! {
        Hosted::stop(report)
    }
}

static HEAP: Heap<Sim<Plain32>, Switched> = Heap::new();

fn get() -> NonNull<u8> {
    let memory = HEAP.allocate(layout(64, 8), AllocFlags::empty());
    memory.expect("memory").cast()
}

fn free(object: NonNull<u8>) {
    // SAFETY: the object is the test's, and nothing uses it.
    unsafe { HEAP.deallocate(object, layout(64, 8)) };
}

fn check(live: usize) {
    let stats = HEAP.stats();
    assert_eq!(HEAP.verify(), Ok(()), "{stats}");
    assert_eq!(stats.small_objects, live, "{stats}");
}

#[test]
fn a_free_is_of_the_span_as_it_is_when_the_block_is_entered() {
    HEAP.init(&[lone_window::<Plain32>(16 << 20)], Sim::default())
        .expect("a good window");
    for questions in 0..8 {
        Hosted::set_cpu(CpuId(0));
        let mut objects: Vec<_> = (0..40).map(|_| get()).collect();
        // A free by another CPU, so that the owner's frees do not go the shortest way.
        Hosted::set_cpu(CpuId(1));
        free(objects.swap_remove(7));
        Hosted::set_cpu(CpuId(0));
        let give_up = || {
            HEAP.scavenge(usize::MAX).expect("not busy");
        };
        BETWEEN.set(Some((questions, give_up)));
        free(objects.swap_remove(3));
        BETWEEN.set(None);
        check(38);
        objects.into_iter().for_each(free);
        check(0);
    }
}
