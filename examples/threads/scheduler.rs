//! Threads under strict priorities on one CPU: the most preferred one that is ready runs.

use core::mem;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use archipelago_qemu::{
    enable_interrupts, first_frame, on_timer, start_timer, switch_stacks, without_interrupts,
};
use x86_64::instructions::{hlt, interrupts};

/// The threads that the kernel starts. Threads are numbered by priority, and the lowest number is
/// preferred.
pub(crate) const THREADS: usize = 4;

/// The thread that booted, which is always ready.
const BOOT: usize = THREADS;

/// Instructions between two ticks of the timer.
const TICK: u32 = 15_000;

struct Thread {
    /// Where its registers are while it does not run.
    stack: AtomicUsize,
    /// The ticks that it sleeps.
    sleeps: AtomicUsize,
}

/// Sleeps longer than any kernel runs: the thread has ended, or was never started.
const FOR_EVER: usize = usize::MAX;

/// Changed with interrupts masked alone.
static TABLE: [Thread; THREADS + 1] = [const {
    Thread {
        stack: AtomicUsize::new(0),
        sleeps: AtomicUsize::new(FOR_EVER),
    }
}; THREADS + 1];

/// The thread that runs.
static CURRENT: AtomicUsize = AtomicUsize::new(BOOT);

/// The work of each thread, which is given its number.
static WORK: [AtomicPtr<()>; THREADS] = [const { AtomicPtr::new(ptr::null_mut()) }; THREADS];

/// The number of the thread that runs.
pub(crate) fn current() -> usize {
    CURRENT.load(Relaxed)
}

/// Makes the thread `number` ready to do `work` on the stack.
pub(crate) fn start(number: usize, stack: NonNull<[u8]>, work: fn(usize)) {
    WORK[number].store(work as *mut (), Relaxed);
    TABLE[number]
        .stack
        .store(first_frame(stack, begin), Relaxed);
    TABLE[number].sleeps.store(0, Relaxed);
}

/// Lets the timer preempt threads, until all of them have ended.
pub(crate) fn run() {
    TABLE[BOOT].sleeps.store(0, Relaxed);
    on_timer(tick);
    enable_interrupts();
    start_timer(TICK);
    while TABLE[..THREADS]
        .iter()
        .any(|thread| thread.sleeps.load(Relaxed) != FOR_EVER)
    {
        hlt();
    }
    interrupts::disable();
}

/// Gives the CPU up for so many ticks. Interrupts are enabled.
pub(crate) fn sleep(ticks: usize) {
    without_interrupts(|| {
        TABLE[current()].sleeps.store(ticks, Relaxed);
        give_cpu_to_most_preferred();
    });
}

/// The handler of the timer, with interrupts masked.
fn tick() {
    for thread in &TABLE {
        let ticks = thread.sleeps.load(Relaxed);
        if ticks != 0 && ticks != FOR_EVER {
            thread.sleeps.store(ticks - 1, Relaxed);
        }
    }
    give_cpu_to_most_preferred();
}

/// Returns when the thread that calls is given the CPU again. Interrupts are masked.
fn give_cpu_to_most_preferred() {
    let is_ready = |thread: &Thread| thread.sleeps.load(Relaxed) == 0;
    let next = TABLE.iter().position(is_ready).unwrap_or(BOOT);
    let before = CURRENT.swap(next, Relaxed);
    if before != next {
        let stack = TABLE[next].stack.load(Relaxed);
        // SAFETY: the next thread does not run, so its stack is as it left it or as `start` made
        // it; interrupts are masked, so nothing switches in between.
        unsafe { switch_stacks(TABLE[before].stack.as_ptr(), stack) };
    }
}

/// The first function of a thread, which was switched to with interrupts masked.
extern "C" fn begin() -> ! {
    interrupts::enable();
    let number = current();
    let work = WORK[number].load(Relaxed);
    // SAFETY: `start` stored a function of this type.
    let work: fn(usize) = unsafe { mem::transmute(work) };
    work(number);
    loop {
        sleep(FOR_EVER);
    }
}
