//! The timer of each CPU: its interrupts allocate and free, and then switch threads.

use core::hint;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use archipelago_api::context::{HandlerDepth, HandlerGuard, PerCpu};
use archipelago_qemu::{
    Churn, MOST_CPUS, current_thread, on_timer, start_cpu_timer, without_interrupts,
};
use spin::Mutex;

use crate::scheduler::{self, THREADS};
use crate::watch::{self, Interrupted, Watched};
use crate::{GLOBAL, cpus};

/// Nanoseconds between interrupts of one CPU.
const PERIOD: u32 = 1_000_000;

/// The blocks of handlers. Those that a handler frees were mostly allocated by another CPU's.
static CHURNS: [Mutex<Churn<Watched>>; MOST_CPUS] =
    [const { Mutex::new(Churn::new(&GLOBAL)) }; MOST_CPUS];

static TICKS: AtomicUsize = AtomicUsize::new(0);

/// Whether handlers use the heap.
static ARE_ON: AtomicBool = AtomicBool::new(false);

/// Handlers that use it now.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// The handlers of each thread: one that is moved to another CPU is in none there.
pub(crate) struct OfThread;

impl PerCpu for OfThread {
    fn depth() -> &'static HandlerDepth {
        static DEPTHS: [HandlerDepth; THREADS] = [const { HandlerDepth::new() }; THREADS];
        &DEPTHS[current_thread()]
    }
}

/// Starts the timer of this CPU.
pub(crate) fn start_on_this_cpu() {
    on_timer(handle);
    start_cpu_timer(PERIOD);
}

/// Lets handlers use the heap.
pub(crate) fn go_on() {
    ARE_ON.store(true, Ordering::SeqCst);
}

/// Keeps handlers from the heap, and waits until none uses it.
pub(crate) fn pause() {
    ARE_ON.store(false, Ordering::SeqCst);
    while AT_WORK.load(Ordering::SeqCst) > 0 {
        hint::spin_loop();
    }
}

/// Interrupts, and requests of handlers that were served and refused.
pub(crate) fn counts() -> [usize; 3] {
    let (mut served, mut refused) = (0, 0);
    for churn in &CHURNS {
        without_interrupts(|| {
            let churn = churn.lock();
            served += churn.served;
            refused += churn.refused;
        });
    }
    [TICKS.load(Ordering::Relaxed), served, refused]
}

/// Frees what handlers have allocated, after [`pause`].
pub(crate) fn free_all() {
    for churn in &CHURNS {
        without_interrupts(|| churn.lock().free_all());
    }
}

/// The handler, with interrupts masked.
fn handle() {
    let tick = 1 + TICKS.fetch_add(1, Ordering::Relaxed);
    watch::look(tick);
    AT_WORK.fetch_add(1, Ordering::SeqCst);
    if ARE_ON.load(Ordering::SeqCst) {
        use_heap(tick);
    }
    AT_WORK.fetch_sub(1, Ordering::SeqCst);
    scheduler::tick();
}

/// The guard is gone when threads are switched.
fn use_heap(tick: usize) {
    let _guard = HandlerGuard::enter_on(OfThread::depth());
    let interrupted = Interrupted::save();
    if let Some(mut churn) = CHURNS[tick % cpus::count()].try_lock() {
        churn.turn();
    }
    interrupted.restore();
}
