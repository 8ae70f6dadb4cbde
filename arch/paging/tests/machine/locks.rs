//! Locks: tried when the caller must not wait, waited for when it may, and free while CPUs are
//! told.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{OnceLock, mpsc};
use std::thread;

use archipelago_api::{
    Busy, CommitError, Machine as _, Patience, PhysAddr, PrepareError, ReserveError, VirtRange,
};
use archipelago_paging::{FrameAllocator, Locked, Owned, Paging, Tlb};
use archipelago_paging_testing::{Walked as _, life};
use spin::{Mutex, MutexGuard, RelaxStrategy};

use crate::physical::{Pages, TwoLevel, Whole, range};
use crate::source::{Cpu, Machine, Source};

type Pair = &'static Mutex<(Pages, Source)>;
type Two = (&'static Mutex<Pages>, &'static Mutex<Source>);

pub(crate) fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn pair(source: &Source) -> Pair {
    leak(Mutex::new((Pages::over(source.physical), *source)))
}

fn two(source: &Source) -> Two {
    (
        leak(Mutex::new(Pages::over(source.physical))),
        leak(Mutex::new(*source)),
    )
}

pub(crate) fn shared<L: Locked<Pages, Source>>(source: &Source, locks: L) -> Machine<Whole, L> {
    // SAFETY:
    // - the locks, or the machine itself, always hold these tables and this source;
    // - only the CPU of the test translates through the tables;
    // - every frame lies in the memory of the test, which is not at address 0;
    // - the CPU of the test needs no setting up;
    // - the tests change no entries of reserved ranges.
    let machine = unsafe { Machine::<Whole, L, ()>::shared(locks) };
    machine.returning().with_tlb(Cpu(*source))
}

const FREE: usize = 0x9000_0000;

/// Reserved, Prepared and Ready, 16 pages each.
fn states() -> [VirtRange; 3] {
    [1, 2, 3].map(|i| range(FREE + (i << 24), 16))
}

pub(crate) fn in_every_state<L: Locked<Pages, Source>>(machine: &Machine<Whole, L>) {
    let [reserved, prepared, ready] = states();
    for window in [reserved, prepared, ready] {
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    }
    for window in [prepared, ready] {
        // SAFETY: the window is Reserved.
        unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    }
    // SAFETY: the window is Prepared.
    unsafe { machine.commit(ready, Patience::Wait) }.expect("there are frames");
}

pub(crate) fn every_call_is_busy<L: Locked<Pages, Source>>(
    source: &Source,
    machine: &Machine<Whole, L>,
) {
    let [reserved, prepared, ready] = states();
    let before = (source.physical.picture(), source.out(), machine.footprint());
    let free = range(FREE, 16);
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(free, Patience::Try) },
        Err(ReserveError::Busy)
    );
    // SAFETY: the window is Reserved.
    let prepare = unsafe { machine.prepare(reserved, Patience::Try) };
    assert_eq!(prepare, Err(PrepareError::Busy));
    // SAFETY: the window is Prepared.
    let commit = unsafe { machine.commit(prepared, Patience::Try) };
    assert_eq!(commit, Err(CommitError::Busy));
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    assert_eq!(unsafe { machine.decommit(ready, Patience::Try) }, Err(Busy));
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    assert_eq!(unsafe { machine.fault(ready, Patience::Try) }, Err(Busy));
    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    assert_eq!(unsafe { machine.release(ready, Patience::Try) }, Err(Busy));
    assert_eq!(
        (source.physical.picture(), source.out(), machine.footprint()),
        before
    );
    assert!(source.books().flushes.is_empty());
}

#[test]
fn a_lock_that_is_held_makes_every_call_busy_and_changes_nothing() {
    let source = Source::new(256);
    let pair = pair(&source);
    let machine = shared(&source, pair);
    in_every_state(&machine);
    let held = pair.lock();
    every_call_is_busy(&source, &machine);
    drop(held);

    let source = Source::new(256);
    let (mapper, frames) = two(&source);
    let machine = shared(&source, (mapper, frames));
    in_every_state(&machine);
    let held = mapper.lock();
    every_call_is_busy(&source, &machine);
    drop(held);
    let held = frames.lock();
    every_call_is_busy(&source, &machine);
    drop(held);
    let ready = states()[2];
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    assert_eq!(unsafe { machine.release(ready, Patience::Try) }, Ok(()));
}

#[test]
fn a_caller_that_may_wait_does_and_holds_neither_lock_meanwhile() {
    let source = Source::new(256);
    let (mapper, frames) = two(&source);
    let machine = leak(shared(&source, (mapper, frames)));
    let held = frames.lock();
    let (done, waited) = mpsc::channel();
    let grower = thread::spawn(move || {
        in_every_state(machine);
        done.send(()).expect("the test listens");
    });
    let early = waited.recv_timeout(Duration::from_millis(20));
    assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout));
    // The kernel takes the locks in the other order; were the mapper held, this would hang.
    drop(mapper.lock());
    drop(held);
    waited.recv().expect("it went on");
    grower.join().expect("it succeeded");
}

/// The way of a kernel that preempts threads to wait: it lets the thread run that holds the lock.
pub(crate) struct Scheduled;

/// Taken by each test that has a holder: there is one at a time.
pub(crate) static ONE_HOLDER: Mutex<()> = Mutex::new(());

/// The holder.
static HOLDER: Mutex<Option<mpsc::Sender<()>>> = Mutex::new(None);

impl RelaxStrategy for Scheduled {
    fn relax() {
        if let Some(holder) = HOLDER.lock().take() {
            holder.send(()).expect("the holder waits");
        }
        thread::yield_now();
    }
}

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `work` while another thread is inside of `hold`, which goes on only if `work` lets it.
pub(crate) fn while_held(hold: impl FnOnce(&dyn Fn()) + Send + 'static, work: impl FnOnce()) {
    let (run, runs) = mpsc::channel();
    let (is_held, wait_held) = mpsc::channel();
    let holder = thread::spawn(move || {
        hold(&|| {
            is_held.send(()).expect("the test waits");
            runs.recv_timeout(PATIENCE).expect("it is let run");
        });
    });
    wait_held.recv().expect("nothing else is held");
    *HOLDER.lock() = Some(run);
    work();
    holder.join().expect("it was let run");
}

type Scheduling<T> = &'static spin::mutex::Mutex<T, Scheduled>;

fn scheduling<T>(value: T) -> Scheduling<T> {
    leak(spin::mutex::Mutex::new(value))
}

#[test]
fn a_caller_that_waits_relaxes_as_the_lock_says() {
    let _one = ONE_HOLDER.lock();
    waiting_for_a_lock_of_the_kernel();
    waiting_for_another_call();
}

fn waiting_for_a_lock_of_the_kernel() {
    let source = Source::new(256);
    let pair = scheduling((Pages::over(source.physical), source));
    let hold = move |stop: &dyn Fn()| {
        let _held = pair.lock();
        stop();
    };
    while_held(hold, || in_every_state(&shared(&source, pair)));

    let source = Source::new(256);
    let mapper = scheduling(Pages::over(source.physical));
    let frames = scheduling(source);
    let hold = move |stop: &dyn Fn()| {
        let _held = frames.lock();
        stop();
    };
    while_held(hold, || in_every_state(&shared(&source, (mapper, frames))));
}

/// Stops while CPUs are told, which is in the middle of a call and under no lock of the kernel.
struct Stopping {
    cpu: Cpu,
    stop: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

// SAFETY: as `Cpu`, which it asks.
unsafe impl Tlb for &'static Stopping {
    fn flush(&self, range: VirtRange) {
        if let Some(stop) = self.stop.lock().take() {
            stop();
        }
        self.cpu.flush(range);
    }
}

fn waiting_for_another_call() {
    let source = Source::new(256);
    let (run, runs) = mpsc::channel();
    let (is_inside, wait_inside) = mpsc::channel();
    let tlb: &'static Stopping = leak(Stopping {
        cpu: Cpu(source),
        stop: Mutex::new(Some(Box::new(move || {
            is_inside.send(()).expect("the test waits");
            runs.recv_timeout(PATIENCE).expect("it is let run");
        }))),
    });
    let pair = scheduling((Pages::over(source.physical), source));
    let machine = leak(shared(&source, pair).with_tlb(tlb));
    let window = range(FREE, 16);
    life::make_ready(machine, window);
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    let inside = move || unsafe { machine.release(window, Patience::Wait) };
    let inside = thread::spawn(inside);
    wait_inside.recv().expect("the window was translated");
    *HOLDER.lock() = Some(run);
    let other = range(FREE + (1 << 24), 16);
    // SAFETY: the machine has a lock of its own against a call that comes meanwhile.
    assert_eq!(unsafe { machine.reserve(other, Patience::Wait) }, Ok(()));
    assert_eq!(inside.join().expect("it was let run"), Ok(()));
}

/// Looks, while CPUs are told, whether the kernel's lock is free.
struct Watch {
    cpu: Cpu,
    pair: Pair,
    was_free: Mutex<Vec<bool>>,
}

// SAFETY: as `Cpu`, which it asks.
unsafe impl Tlb for &'static Watch {
    fn flush(&self, range: VirtRange) {
        self.was_free.lock().push(self.pair.try_lock().is_some());
        self.cpu.flush(range);
    }
}

#[test]
fn no_lock_of_the_kernel_is_held_while_cpus_are_told() {
    for patience in [Patience::Wait, Patience::Try] {
        let source = Source::new(256);
        let pair = pair(&source);
        let watch: &'static Watch = leak(Watch {
            cpu: Cpu(source),
            pair,
            was_free: Mutex::new(Vec::new()),
        });
        let machine = shared(&source, pair).with_tlb(watch);
        let window = range(FREE, 16);
        life::make_ready(&machine, window);
        source.touch(window);
        // SAFETY:
        // - the window is reserved;
        // - nothing uses it.
        unsafe { machine.release(window, patience) }.expect("no lock is held");
        assert_eq!(
            *watch.was_free.lock(),
            [true, true],
            "once for pages, once for tables"
        );
        assert_eq!(source.out(), 0);
    }
}

/// Another CPU, which waits for the kernel's lock with interrupts masked: it responds to a request
/// to flush once it has had the lock.
struct Waiting {
    cpu: Cpu,
    pair: Pair,
    responses: AtomicUsize,
}

// SAFETY: as `Cpu`, which it asks once the other CPU has responded.
unsafe impl Tlb for &'static Waiting {
    fn flush(&self, range: VirtRange) {
        let (respond, response) = mpsc::channel();
        let pair = self.pair;
        let other = thread::spawn(move || {
            drop(pair.lock());
            // The machine has gone without a response if nobody listens.
            let _ = respond.send(());
        });
        // A machine that holds the lock would wait for ever.
        if response.recv_timeout(Duration::from_secs(10)).is_ok() {
            other.join().expect("it responded");
            self.responses.fetch_add(1, Ordering::Relaxed);
        }
        self.cpu.flush(range);
    }
}

#[test]
fn a_cpu_that_waits_for_the_lock_with_interrupts_masked_responds() {
    for patience in [Patience::Wait, Patience::Try] {
        let source = Source::new(256);
        let pair = pair(&source);
        let waiting: &'static Waiting = leak(Waiting {
            cpu: Cpu(source),
            pair,
            responses: AtomicUsize::new(0),
        });
        let machine = shared(&source, pair).with_tlb(waiting);
        let window = range(FREE, 16);
        life::make_ready(&machine, window);
        source.touch(window);
        // SAFETY:
        // - the window is reserved;
        // - nothing uses it.
        unsafe { machine.release(window, patience) }.expect("no lock is held");
        assert_eq!(waiting.responses.load(Ordering::Relaxed), 2);
        assert_eq!(source.out(), 0);
    }
}

/// Another CPU that takes the kernel's lock when it is told to flush, from a given request on, and
/// keeps it until the test takes it away.
struct Taking {
    cpu: Cpu,
    pair: Pair,
    /// Requests that pass before the lock is taken.
    spared: AtomicUsize,
    guard: Mutex<Option<MutexGuard<'static, (Pages, Source)>>>,
}

// SAFETY: as `Cpu`, which it asks.
unsafe impl Tlb for &'static Taking {
    fn flush(&self, range: VirtRange) {
        self.cpu.flush(range);
        match self.spared.load(Ordering::Relaxed) {
            0 => *self.guard.lock() = Some(self.pair.lock()),
            spared => self.spared.store(spared - 1, Ordering::Relaxed),
        }
    }
}

/// A machine with one window of [`PAGES_OF_TAKING`] Ready pages, whose lock is taken in the flush
/// after `spared` ones.
fn taking(
    spared: usize,
) -> (
    Source,
    &'static Taking,
    Machine<Whole, Pair, &'static Taking>,
) {
    let source = Source::new(256);
    let pair = pair(&source);
    let taking: &'static Taking = leak(Taking {
        cpu: Cpu(source),
        pair,
        spared: AtomicUsize::new(spared),
        guard: Mutex::new(None),
    });
    let machine = shared(&source, pair).with_tlb(taking);
    life::make_ready(&machine, range(FREE, PAGES_OF_TAKING));
    source.touch(range(FREE, PAGES_OF_TAKING));
    (source, taking, machine)
}

const PAGES_OF_TAKING: usize = 16;

/// Checks that frames of the source are those that the machine accounts for, beside `ready` ones.
fn accounts_are_exact(source: &Source, machine: &impl archipelago_api::Machine, ready: usize) {
    let footprint = machine.footprint();
    let accounted = ready + footprint.table_frames + footprint.held_frames;
    assert_eq!(source.out(), accounted);
}

#[test]
fn a_lock_that_is_taken_during_a_flush_leaves_the_rest_to_the_next_call() {
    // The lock is taken in the flush of pages, or in that of tables.
    for (spared, held, tables) in [(0, PAGES_OF_TAKING, 1), (1, 0, 1)] {
        let (source, taking, machine) = taking(spared);
        let window = range(FREE, PAGES_OF_TAKING);
        // SAFETY:
        // - the window is Ready;
        // - nothing uses it.
        unsafe { machine.fault(window, Patience::Try) }.expect("the lock was free");
        assert_eq!(life::ready_pages(&source, window), 0);
        let footprint = machine.footprint();
        assert_eq!(
            (footprint.held_frames, footprint.table_frames),
            (held, tables)
        );
        accounts_are_exact(&source, &machine, 0);
        // SAFETY: the window is Reserved.
        let busy = unsafe { machine.prepare(window, Patience::Try) };
        assert_eq!(busy, Err(PrepareError::Busy));
        accounts_are_exact(&source, &machine, 0);
        drop(taking.guard.lock().take());
        taking.spared.store(usize::MAX, Ordering::Relaxed);
        let other = range(FREE + (1 << 24), 1);
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(other, Patience::Try) }.expect("it is empty");
        assert_eq!(source.out(), 0);
        accounts_are_exact(&source, &machine, 0);
        // SAFETY: the window is Reserved.
        unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
        // SAFETY: the window is Prepared.
        unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
        accounts_are_exact(&source, &machine, PAGES_OF_TAKING);
    }
}

#[test]
fn pages_that_were_decommitted_with_the_lock_taken_are_prepared() {
    let (source, taking, machine) = taking(0);
    let window = range(FREE, PAGES_OF_TAKING);
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(window, Patience::Try) }.expect("the lock was free");
    accounts_are_exact(&source, &machine, 0);
    // SAFETY: the window is Prepared.
    let busy = unsafe { machine.commit(window, Patience::Try) };
    assert_eq!(busy, Err(CommitError::Busy));
    drop(taking.guard.lock().take());
    taking.spared.store(usize::MAX, Ordering::Relaxed);
    // SAFETY: the window is Prepared.
    unsafe { machine.commit(window, Patience::Try) }.expect("there are frames");
    assert_eq!(life::ready_pages(&source, window), PAGES_OF_TAKING);
    accounts_are_exact(&source, &machine, PAGES_OF_TAKING);
}

type Interruptible = Paging<TwoLevel, Pages, Interrupted, Owned<Pages, Interrupted>, Cpu>;

/// A frame allocator that is interrupted, in each request, by a handler that calls the machine.
struct Interrupted {
    source: Source,
    machine: &'static OnceLock<Interruptible>,
    handled: &'static AtomicUsize,
}

// SAFETY: the frames are those of `source`.
unsafe impl FrameAllocator for Interrupted {
    fn allocate_frame(&mut self) -> Option<PhysAddr> {
        if let Some(machine) = self.machine.get() {
            // SAFETY: the machine has a lock of its own against a call that comes meanwhile.
            let refused = unsafe { machine.reserve(range(FREE, 1), Patience::Try) };
            assert_eq!(refused, Err(ReserveError::Busy));
            // Asking takes no lock; with one, this would hang.
            assert_eq!(machine.footprint().held_frames, 0);
            self.handled.fetch_add(1, Ordering::Relaxed);
        }
        self.source.allocate_frame()
    }
}

#[test]
fn a_handler_that_interrupts_a_call_finds_the_machine_busy_and_returns() {
    let source = Source::new(64);
    let machine: &'static OnceLock<Interruptible> = leak(OnceLock::new());
    let handled: &'static AtomicUsize = leak(AtomicUsize::new(0));
    let frames = Interrupted {
        source,
        machine,
        handled,
    };
    // SAFETY:
    // - the locks, or the machine itself, always hold these tables and this source;
    // - only the CPU of the test translates through the tables;
    // - every frame lies in the memory of the test, which is not at address 0;
    // - the CPU of the test needs no setting up;
    // - the tests change no entries of reserved ranges.
    let paging = unsafe { Paging::new(Pages::over(source.physical), frames) };
    let machine = machine.get_or_init(|| paging.with_tlb(Cpu(source)));
    let window = range(FREE, 16);
    life::make_ready(machine, window);
    assert_eq!(handled.load(Ordering::Relaxed), 1 + 16);
}
