//! Threads that take turns on all CPUs: at each tick a CPU gives the thread that it runs up, to
//! whichever CPU is the next to look for one.

use core::hint;
use core::mem;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, Ordering::Relaxed};

use archipelago_api::kernels::Threads;
use archipelago_api::{InterruptState, Kernel};
use archipelago_qemu::{
    MOST_CPUS, SingleCpu, current_thread, first_frame, mask_interrupts, set_current_thread,
    switch_stacks, wait_for_interrupt, without_interrupts,
};
use spin::{Mutex, MutexGuard};

use crate::cpus;
use crate::watch::Interrupted;

/// Threads that the kernel starts, at most.
pub(crate) const WORKERS: usize = 3 * MOST_CPUS;

/// All threads: those, and the ones that the CPUs begin with, which have the CPUs' numbers.
pub(crate) const THREADS: usize = MOST_CPUS + WORKERS;

/// The kernel's threads, as the heap sees them. One that waits for another lets others run.
pub(crate) struct Scheduled;

impl Threads for Scheduled {
    fn current_thread() -> usize {
        current_thread()
    }

    fn relax() {
        hint::spin_loop();
        without_interrupts(|| _ = give_up());
    }
}

/// The threads that are ready, first in first out.
struct Queue {
    threads: [usize; WORKERS],
    first: usize,
    count: usize,
}

impl Queue {
    fn put(&mut self, thread: usize) {
        self.threads[(self.first + self.count) % WORKERS] = thread;
        self.count += 1;
    }

    fn take(&mut self) -> Option<usize> {
        self.count = self.count.checked_sub(1)?;
        let thread = self.threads[self.first];
        self.first = (self.first + 1) % WORKERS;
        Some(thread)
    }
}

/// Held, with interrupts masked, until the thread that is left has left its stack: then whoever
/// goes on releases it.
static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    threads: [0; WORKERS],
    first: 0,
    count: 0,
});

/// Where the registers of each thread are while it does not run.
static STACKS: [AtomicUsize; THREADS] = [const { AtomicUsize::new(0) }; THREADS];

/// The work of each thread that was started, which is given its number.
static WORK: [AtomicPtr<()>; WORKERS] = [const { AtomicPtr::new(ptr::null_mut()) }; WORKERS];

/// The thread that each CPU runs.
static RUNNING: [AtomicUsize; MOST_CPUS] = {
    let mut threads = [const { AtomicUsize::new(0) }; MOST_CPUS];
    let mut cpu = 0;
    while cpu < MOST_CPUS {
        threads[cpu] = AtomicUsize::new(cpu);
        cpu += 1;
    }
    threads
};

/// Whether each CPU runs threads.
static ARE_SWITCHED: [AtomicBool; MOST_CPUS] = [const { AtomicBool::new(false) }; MOST_CPUS];

static STARTED: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// Threads that were preempted, that were inside of the heap then, and of these the ones that went
/// on on another CPU.
static PREEMPTED: AtomicUsize = AtomicUsize::new(0);
static IN_HEAP: AtomicUsize = AtomicUsize::new(0);
static MOVED: AtomicUsize = AtomicUsize::new(0);

/// How often threads were preempted, inside of the heap, and moved to another CPU there.
pub(crate) fn counts() -> [usize; 3] {
    [&PREEMPTED, &IN_HEAP, &MOVED].map(|count| count.load(Relaxed))
}

/// The thread that a CPU runs.
pub(crate) fn thread_on(cpu: usize) -> usize {
    RUNNING[cpu].load(Relaxed)
}

/// Makes a thread ready that does `work` on the stack. No CPU runs threads yet.
pub(crate) fn start(number: usize, stack: NonNull<[u8]>, work: fn(usize)) {
    if number == 0 {
        STARTED.store(0, Relaxed);
        ENDED.store(0, Relaxed);
    }
    WORK[number].store(work as *mut (), Relaxed);
    STACKS[MOST_CPUS + number].store(first_frame(stack, begin), Relaxed);
    QUEUE.lock().put(MOST_CPUS + number);
    STARTED.fetch_add(1, Ordering::Release);
}

/// Runs threads on this CPU until all of them have ended, and none is on this CPU.
pub(crate) fn run() {
    let is_switched = &ARE_SWITCHED[cpus::this()];
    is_switched.store(true, Relaxed);
    while ENDED.load(Ordering::Acquire) < STARTED.load(Ordering::Acquire) {
        wait_for_interrupt();
    }
    is_switched.store(false, Relaxed);
}

/// Preempts the thread that this CPU runs: at each tick of it, with interrupts masked.
pub(crate) fn tick() {
    let (cpu, is_inside) = (cpus::this(), Interrupted::is_inside(current_thread()));
    if !give_up() {
        return;
    }
    PREEMPTED.fetch_add(1, Relaxed);
    IN_HEAP.fetch_add(is_inside.into(), Relaxed);
    // On whatever CPU the thread goes on.
    if is_inside && cpu != cpus::this() {
        MOVED.fetch_add(1, Relaxed);
    }
}

/// Gives the CPU to the next thread that is ready, if there is one. Returns whether the CPU ran a
/// thread and gave it up, when that thread goes on. Interrupts are masked.
fn give_up() -> bool {
    if !ARE_SWITCHED[cpus::this()].load(Relaxed) {
        return false;
    }
    let mut queue = QUEUE.lock();
    let Some(next) = queue.take() else {
        return false;
    };
    let before = current_thread();
    // A CPU's own thread waits for that CPU.
    let is_thread = before >= MOST_CPUS;
    if is_thread {
        queue.put(before);
    }
    switch(queue, before, next);
    is_thread
}

/// Leaves the thread `before` and goes on with `next`. Interrupts are masked.
fn switch(queue: MutexGuard<'static, Queue>, before: usize, next: usize) {
    // `release`, on the stack of the next thread, releases it.
    mem::forget(queue);
    set_current_thread(next);
    RUNNING[cpus::this()].store(next, Relaxed);
    let stack = STACKS[next].load(Relaxed);
    // SAFETY: the queue is held, so that the next thread has left its stack, or `start` made it,
    // and no other CPU has taken it; interrupts are masked, so nothing switches in between.
    unsafe { switch_stacks(STACKS[before].as_ptr(), stack) };
    // SAFETY: as `release` asks for.
    unsafe { release() };
}

/// Releases the queue, which the thread that was left has held.
///
/// # Safety
/// This is the first that a thread does after a switch.
unsafe fn release() {
    // SAFETY: the guard was forgotten by the thread that was left.
    unsafe { QUEUE.force_unlock() };
}

/// The first function of a thread, which was switched to with interrupts masked.
extern "C" fn begin() -> ! {
    // SAFETY: a new thread was switched to.
    unsafe { release() };
    // SAFETY: the handler that switched to this thread masked interrupts, and does not run here.
    unsafe { <SingleCpu>::restore_interrupts(InterruptState::Enabled) };
    let number = current_thread() - MOST_CPUS;
    let work = WORK[number].load(Relaxed);
    // SAFETY: `start` stored a function of this type.
    let work: fn(usize) = unsafe { mem::transmute(work) };
    work(number);
    end()
}

/// Ends the thread: the CPU goes on with another one, or with its own.
fn end() -> ! {
    mask_interrupts();
    ENDED.fetch_add(1, Ordering::Release);
    let mut queue = QUEUE.lock();
    let next = queue.take().unwrap_or(cpus::this());
    switch(queue, current_thread(), next);
    unreachable!("a thread that has ended is in no queue")
}
