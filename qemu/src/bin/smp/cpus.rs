//! The CPUs of the kernel: their start, their work, their end.

#[path = "../../../../examples/cpus/jobs.rs"]
pub(crate) mod jobs;

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use archipelago::AllocFlags;
use archipelago_api::CpuId;
use archipelago_qemu::{
    FRAME_BYTES, MOST_CPUS, current_cpu, is_cpu_on, mask_interrupts, start_cpu, stop_this_cpu,
    wait_for_interrupt,
};

use crate::{HEAP, ticks, tlb};

/// Pages of a CPU's stack, and of a thread's.
const STACK_PAGES: usize = 16;

static COUNT: AtomicUsize = AtomicUsize::new(1);

/// The stack of each CPU but the first.
static STACKS: [AtomicPtr<u8>; MOST_CPUS] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST_CPUS];

/// How many CPUs there are, those included that are off.
pub(crate) fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// The number of the CPU that this runs on.
pub(crate) fn this() -> usize {
    current_cpu().0.into()
}

/// A stack, out of the heap.
pub(crate) fn new_stack() -> NonNull<[u8]> {
    let stack = HEAP
        .pages()
        .allocate(STACK_PAGES, FRAME_BYTES, AllocFlags::empty());
    stack.expect("there is memory").leak()
}

/// Frees a stack.
///
/// # Safety
/// [`new_stack`] made it, and no code runs on it any more.
pub(crate) unsafe fn free_stack(stack: NonNull<[u8]>) {
    // SAFETY:
    // - the run was leaked by `new_stack`;
    // - the caller vouches that nothing uses it.
    drop(unsafe { HEAP.pages().recover(stack) });
}

/// Starts the CPUs up to `count` in all.
pub(crate) fn start_all(count: usize) {
    tlb::take_part();
    for (cpu, stack) in STACKS.iter().enumerate().take(count).skip(1) {
        stack.store(new_stack().cast().as_ptr(), Ordering::Relaxed);
        start(cpu);
    }
    COUNT.store(count, Ordering::Relaxed);
}

/// Starts a CPU on its stack, which nothing uses.
pub(crate) fn start(cpu: usize) {
    let first = NonNull::new(STACKS[cpu].load(Ordering::Relaxed)).expect("a CPU of the kernel");
    let stack = NonNull::slice_from_raw_parts(first, STACK_PAGES * FRAME_BYTES);
    start_cpu(number(cpu), stack, take_part_and_run);
}

/// Frees the stacks of all CPUs, which are off.
pub(crate) fn free_stacks() {
    for stack in &STACKS[1..count()] {
        let first = NonNull::new(stack.load(Ordering::Relaxed)).expect("a CPU of the kernel");
        let stack = NonNull::slice_from_raw_parts(first, STACK_PAGES * FRAME_BYTES);
        // SAFETY: the CPU is off.
        unsafe { free_stack(stack) };
    }
}

fn take_part_and_run() -> ! {
    tlb::take_part();
    ticks::start_on_this_cpu();
    jobs::run(wait_for_interrupt)
}

fn number(cpu: usize) -> CpuId {
    CpuId(u16::try_from(cpu).expect("there are few CPUs"))
}

/// Runs `work` on all CPUs at the same time, and waits until all have ended it.
pub(crate) fn on_all(work: fn()) {
    (1..count()).for_each(|cpu| jobs::begin(cpu, work));
    work();
    jobs::wait_for_end(wait_for_interrupt);
}

/// Runs `work` on one CPU and waits for its end.
pub(crate) fn on(cpu: usize, work: fn()) {
    if cpu == this() {
        return work();
    }
    jobs::begin(cpu, work);
    jobs::wait_for_end(wait_for_interrupt);
}

/// Has another CPU go offline after `work`, and waits until it is off.
pub(crate) fn send_off(cpu: usize) {
    on(cpu, || {
        // A handler must not use the heap once shoot-downs do not wait for this CPU.
        mask_interrupts();
        tlb::leave();
        jobs::end();
        stop_this_cpu()
    });
    while is_cpu_on(number(cpu)) {
        wait_for_interrupt();
    }
}
