//! The last action of each CPU: the kernel's global allocator notes it, and whoever finds that no
//! CPU gets on reports it.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use archipelago_qemu::{MOST_CPUS, current_thread, stop, try_write_console};

use crate::HEAP;
use crate::cpus::count;
use crate::scheduler::{THREADS, thread_on};

/// The heap, watched.
#[derive(Debug)]
pub(crate) struct Watched;

/// Ticks of all CPUs from one line of progress to the next.
const HEARTBEAT: usize = 1_500;

/// Ticks of all CPUs in which at least one of them has to get on: ten seconds or so.
const PATIENCE: usize = 15_000;

/// As many ticks, where a hang is to be found.
const LITTLE_PATIENCE: usize = 1_500;

static LIMIT: AtomicUsize = AtomicUsize::new(PATIENCE);

/// Expects a hang.
pub(crate) fn be_impatient() {
    LIMIT.store(LITTLE_PATIENCE, Relaxed);
}

/// The last action of a thread.
struct Record {
    actions: AtomicUsize,
    /// The kind of action, whether it has not returned yet, and its bytes: see [`pack`].
    last: AtomicUsize,
}

static RECORDS: [Record; THREADS] = [const {
    Record {
        actions: AtomicUsize::new(0),
        last: AtomicUsize::new(0),
    }
}; THREADS];

const VERBS: [[&str; 2]; 4] = [
    ["did nothing", ""],
    ["allocated", "allocates"],
    ["resized to", "resizes to"],
    ["freed", "frees"],
];
const ALLOCATE: usize = 1;
const RESIZE: usize = 2;
const FREE: usize = 3;

/// In a record: the action has not returned.
const INSIDE: usize = 1 << 2;
const BYTES_SHIFT: u32 = 3;

fn pack(kind: usize, bytes: usize) -> usize {
    kind | INSIDE | bytes << BYTES_SHIFT
}

fn noted<R>(kind: usize, bytes: usize, action: impl FnOnce() -> R) -> R {
    let record = &RECORDS[current_thread()];
    record.last.store(pack(kind, bytes), Relaxed);
    let result = action();
    // The thread may go on on another CPU, but its record is the same.
    record.last.store(pack(kind, bytes) & !INSIDE, Relaxed);
    record.actions.fetch_add(1, Relaxed);
    result
}

// SAFETY: every call is the heap's own.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller makes the promises of `GlobalAlloc::alloc`.
        noted(ALLOCATE, layout.size(), || unsafe { HEAP.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller makes the promises of `GlobalAlloc::alloc_zeroed`.
        noted(ALLOCATE, layout.size(), || unsafe {
            HEAP.alloc_zeroed(layout)
        })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller makes the promises of `GlobalAlloc::dealloc`.
        noted(FREE, layout.size(), || unsafe {
            HEAP.dealloc(pointer, layout);
        });
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller makes the promises of `GlobalAlloc::realloc`.
        noted(RESIZE, new_size, || unsafe {
            HEAP.realloc(pointer, layout, new_size)
        })
    }
}

/// The record of the thread that a handler interrupts. The handler's own actions go over it, and
/// do not count: handlers go on where threads hang.
pub(crate) struct Interrupted {
    actions: usize,
    last: usize,
}

impl Interrupted {
    /// Whether the interrupted thread is inside of the heap.
    pub(crate) fn is_inside(thread: usize) -> bool {
        RECORDS[thread].last.load(Relaxed) & INSIDE != 0
    }

    pub(crate) fn save() -> Self {
        let record = &RECORDS[current_thread()];
        Self {
            actions: record.actions.load(Relaxed),
            last: record.last.load(Relaxed),
        }
    }

    pub(crate) fn restore(&self) {
        let record = &RECORDS[current_thread()];
        record.actions.store(self.actions, Relaxed);
        record.last.store(self.last, Relaxed);
    }
}

/// Actions of all threads, those of handlers not counted.
pub(crate) fn actions() -> usize {
    RECORDS
        .iter()
        .map(|record| record.actions.load(Relaxed))
        .sum()
}

/// The actions and the tick at which somebody looked last and found that they had changed.
static SEEN: AtomicUsize = AtomicUsize::new(0);
static SEEN_AT: AtomicUsize = AtomicUsize::new(0);

/// Notes that a CPU gets on that makes no request for long.
pub(crate) fn gets_on() {
    RECORDS[current_thread()].actions.fetch_add(1, Relaxed);
}

/// Called at each tick, which is the `tick`th of all CPUs: says now and then how far the CPUs are,
/// and stops the machine if none of them has got on for long.
pub(crate) fn look(tick: usize) {
    if tick % HEARTBEAT == 0 {
        try_write_console(format_args!("progress {CPUS}\n"));
    }
    if tick % 64 != 0 {
        return;
    }
    let actions = actions();
    if SEEN.swap(actions, Relaxed) != actions {
        SEEN_AT.store(tick, Relaxed);
    }
    let ticks = tick.saturating_sub(SEEN_AT.load(Relaxed));
    if ticks > LIMIT.load(Relaxed) {
        stop(format_args!("no CPU has got on for {ticks} ticks: {CPUS}"));
    }
}

/// The last actions of all CPUs, in words.
struct AllCpus;

const CPUS: AllCpus = AllCpus;

impl fmt::Display for AllCpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for cpu in 0..count() {
            let thread = thread_on(cpu);
            let record = &RECORDS[thread];
            let (last, actions) = (record.last.load(Relaxed), record.actions.load(Relaxed));
            let is_inside = usize::from(last & INSIDE != 0);
            let verb = VERBS[last & (INSIDE - 1)][is_inside];
            let between = if cpu == 0 { "" } else { "; " };
            write!(f, "{between}CPU {cpu}")?;
            if thread >= MOST_CPUS {
                write!(f, ", thread {}", thread - MOST_CPUS)?;
            }
            write!(f, " {verb}")?;
            if last & (INSIDE - 1) != 0 {
                write!(f, " {} bytes", last >> BYTES_SHIFT)?;
            }
            write!(f, " ({actions} before)")?;
        }
        Ok(())
    }
}
