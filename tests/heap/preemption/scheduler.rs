//! CPUs of a simulated kernel that preempts threads under strict priorities.
//!
//! Each thread of the kernel is one of the host's. Those that have a CPU run; all others wait for
//! one. At a tick of the timer a CPU goes to the most preferred thread that is ready, which is why
//! a thread that spins keeps its CPU for ever.

use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use archipelago_sim::Hosted;

use archipelago_api::Kernel;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The threads of a simulated kernel, on a fixed number of CPUs.
#[derive(Debug)]
pub(super) struct Scheduler {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    threads: Vec<Thread>,
    /// CPUs without a thread.
    idle: Vec<u16>,
    cpus: u16,
}

/// A thread. Its index is its priority: the lowest is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thread {
    /// The thread has a CPU.
    Runs(u16),
    /// The thread waits for a CPU.
    Ready,
    /// The thread wants no CPU for so many ticks.
    Sleeps(u32),
    /// The thread has ended.
    Ended,
}

thread_local! {
    static HERE: RefCell<Option<(Arc<Scheduler>, usize)>> = const { RefCell::new(None) };
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

impl Scheduler {
    /// Runs `work` as `threads` threads on `cpus` CPUs, to the end of all. Each gets its number.
    /// Panics if they do not come to an end.
    pub(super) fn run(cpus: u16, threads: usize, work: impl Fn(usize) + Send + Sync + 'static) {
        let work = Arc::new(work);
        let scheduler = Arc::new(Self {
            state: Mutex::new(State {
                threads: vec![Thread::Ready; threads],
                idle: (0..cpus).collect(),
                cpus,
            }),
            changed: Condvar::new(),
        });
        let (done, ends) = mpsc::channel();
        for number in 0..threads {
            let (work, scheduler) = (Arc::clone(&work), Arc::clone(&scheduler));
            let done = done.clone();
            thread::spawn(move || {
                HERE.set(Some((Arc::clone(&scheduler), number)));
                scheduler.wait_for_cpu(scheduler.lock(), number);
                work(number);
                scheduler.give_up_cpu(number, Thread::Ended);
                done.send(number).ok();
            });
        }
        drop(done);
        // The threads that are preferred begin.
        scheduler.dispatch(&mut scheduler.lock());
        for _ in 0..threads {
            match ends.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("a thread waits for ever"),
                Err(mpsc::RecvTimeoutError::Disconnected) => panic!("a thread panicked"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives CPUs that are idle to the most preferred threads that are ready.
    fn dispatch(&self, state: &mut State) {
        for thread in &mut state.threads {
            if *thread == Thread::Ready {
                let Some(cpu) = state.idle.pop() else { return };
                *thread = Thread::Runs(cpu);
                self.changed.notify_all();
            }
        }
    }

    fn wait_for_cpu(&self, mut state: MutexGuard<'_, State>, number: usize) {
        while !matches!(state.threads[number], Thread::Runs(_)) {
            let changed = self.changed.wait(state);
            state = changed.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The thread loses its CPU and becomes `next`. While no thread has one, time passes.
    fn give_up_cpu(&self, number: usize, next: Thread) {
        let mut state = self.lock();
        let Thread::Runs(cpu) = state.threads[number] else {
            panic!("it runs");
        };
        state.threads[number] = next;
        state.idle.push(cpu);
        self.dispatch(&mut state);
        while state.is_asleep() {
            state.tick();
            self.dispatch(&mut state);
        }
        if next != Thread::Ended {
            self.wait_for_cpu(state, number);
        }
    }
}

impl State {
    /// A tick of the timer: time passes for the threads that sleep.
    fn tick(&mut self) {
        for thread in &mut self.threads {
            match thread {
                Thread::Sleeps(0 | 1) => *thread = Thread::Ready,
                Thread::Sleeps(ticks) => *ticks -= 1,
                _ => {}
            }
        }
    }

    /// Whether no thread runs, and some will.
    fn is_asleep(&self) -> bool {
        let runs = |thread: &Thread| matches!(thread, Thread::Runs(_));
        let ended = |thread: &Thread| *thread == Thread::Ended;
        !self.threads.iter().any(runs) && !self.threads.iter().all(ended)
    }
}

fn here() -> Option<(Arc<Scheduler>, usize)> {
    HERE.with_borrow(Clone::clone)
}

/// The number of the thread that calls; 0 outside of a scheduler.
pub(super) fn thread() -> usize {
    here().map_or(0, |(_, number)| number)
}

/// The number of the CPU that the calling thread has; 0 outside of a scheduler.
pub(super) fn cpu() -> u16 {
    here().map_or(0, |(scheduler, number)| {
        match scheduler.lock().threads[number] {
            Thread::Runs(cpu) => cpu,
            state => panic!("a thread without a CPU runs: {state:?}"),
        }
    })
}

/// The number of CPUs; 1 outside of a scheduler.
pub(super) fn cpus() -> u16 {
    here().map_or(1, |(scheduler, _)| scheduler.lock().cpus)
}

/// A place at which the timer may interrupt, if interrupts are enabled; every so manieth time it
/// does, and the CPU goes to the most preferred thread that is ready.
pub(super) fn timer_may_interrupt(every: u32) {
    if !Hosted::interrupts_enabled() {
        return;
    }
    COUNT.set(COUNT.get() + 1);
    if COUNT.get() % every != 0 {
        return;
    }
    if let Some((scheduler, number)) = here() {
        scheduler.lock().tick();
        scheduler.give_up_cpu(number, Thread::Ready);
    }
}

/// Gives the CPU up for so many ticks.
pub(super) fn sleep(ticks: u32) {
    assert!(
        Hosted::interrupts_enabled(),
        "threads are not switched with interrupts masked"
    );
    if let Some((scheduler, number)) = here() {
        scheduler.give_up_cpu(number, Thread::Sleeps(ticks));
    }
}
