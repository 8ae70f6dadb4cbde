//! Kernels and machines that inspect the heap at awkward moments.

use core::cell::Cell;
use core::ptr::NonNull;
use std::sync::mpsc;
use std::thread;

use archipelago::{AllocFlags, Heap, Report, VirtAddr, VirtRange};
use archipelago_api::{
    Busy, CommitError, Contents, CpuId, Footprint, Geometry, IndexWord, InterruptState, Kernel,
    Machine, Patience, PrepareError, ReserveError,
};
use archipelago_sim::{Hosted, Plain32, Sim, SimGeometry as _};
use archipelago_testing::{layout, lone_window};

thread_local! {
    static WATCH: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// A kernel in which an interrupt waits for every end of a locked section.
struct Interrupted;

impl Kernel for Interrupted {
    fn disable_interrupts() -> InterruptState {
        Hosted::disable_interrupts()
    }

    fn restore_interrupts(state: InterruptState) {
        Hosted::restore_interrupts(state);
        if state == InterruptState::Enabled {
            if let Some(watch) = WATCH.take() {
                watch();
                WATCH.set(Some(watch));
            }
        }
    }

    fn interrupts_enabled() -> bool {
        Hosted::interrupts_enabled()
    }

    // Debug builds note the locks that a CPU holds, for all heaps of the program.
    fn current_cpu() -> CpuId {
        Hosted::current_cpu()
    }

    fn current_thread() -> usize {
        Hosted::current_thread()
    }

    fn stop(report: &Report) -> ! {
        Hosted::stop(report)
    }
}

#[test]
fn a_walk_of_the_spans_between_two_locks_sees_whole_ones() {
    static HEAP: Heap<Sim<Plain32>, Interrupted> = Heap::new();
    HEAP.init(&[lone_window::<Plain32>(16 << 20)], Sim::default())
        .expect("a good window");
    let small = HEAP.allocate(layout(24, 8), AllocFlags::empty());
    let small = small.expect("memory").cast();
    // SAFETY: it was allocated above with this layout and is not used any more.
    unsafe { HEAP.deallocate(small, layout(24, 8)) };
    WATCH.set(Some(|| {
        HEAP.for_each_span(|span| {
            assert!(span.bytes > 0 && span.slots > 0, "{span:?}");
            assert!(span.live <= span.slots, "{span:?}");
        });
    }));
    // The span that was kept without live slots is given back on the way.
    let large = HEAP.allocate(layout(4 << 20, 8), AllocFlags::empty());
    WATCH.set(None);
    large.expect("memory");
    assert_eq!(HEAP.verify(), Ok(()));
}

thread_local! {
    /// The CPU that a thread is moved to as soon as it has asked for its number.
    static MOVED_TO: Cell<Option<CpuId>> = const { Cell::new(None) };
}

/// A kernel that moves threads from one CPU to another while interrupts are on.
struct Moving;

const LEFT: CpuId = CpuId(62);
const OTHER: CpuId = CpuId(63);

impl Kernel for Moving {
    fn disable_interrupts() -> InterruptState {
        Hosted::disable_interrupts()
    }

    fn restore_interrupts(state: InterruptState) {
        Hosted::restore_interrupts(state);
    }

    fn interrupts_enabled() -> bool {
        Hosted::interrupts_enabled()
    }

    fn current_cpu() -> CpuId {
        match MOVED_TO.get() {
            Some(cpu) if !Hosted::interrupts_enabled() => cpu,
            _ => LEFT,
        }
    }

    fn current_thread() -> usize {
        Hosted::current_thread()
    }

    fn stop(report: &Report) -> ! {
        Hosted::stop(report)
    }
}

#[test]
fn a_thread_that_is_moved_is_not_taken_for_the_holder_of_a_lock() {
    static HELD: Heap<Sim<Plain32>, Moving> = Heap::new();
    static HEAP: Heap<Sim<Plain32>, Moving> = Heap::new();
    for heap in [&HELD, &HEAP] {
        heap.init(&[lone_window::<Plain32>(16 << 20)], Sim::default())
            .expect("a good window");
    }
    HELD.allocate(layout(24, 8), AllocFlags::empty())
        .expect("memory");
    let (is_held, wait_held) = mpsc::channel();
    let (done, wait_done) = mpsc::channel::<()>();
    let holder = thread::spawn(move || {
        HELD.for_each_chunk(|_| {
            is_held.send(()).expect("the test waits");
            wait_done.recv().expect("the test goes on");
        });
    });
    wait_held.recv().expect("the heap has a chunk");
    MOVED_TO.set(Some(OTHER));
    let block = HEAP.allocate(layout(24, 8), AllocFlags::empty());
    MOVED_TO.set(None);
    done.send(()).expect("the holder waits");
    holder.join().expect("no panic");
    block.expect("memory");
}

/// A machine that computes its footprint under a lock, which other CPUs hold while they use the
/// heap.
struct Locked(Sim<Plain32>);

static LOCKED: Heap<Locked, Hosted> = Heap::new();

// SAFETY: every call is the simulated machine's.
unsafe impl Machine for Locked {
    const GEOMETRY: Geometry = Plain32::GEOMETRY;
    type IndexRoot = [IndexWord; 1];

    fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        self.0.reserve(range, patience)
    }

    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError> {
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        unsafe { self.0.prepare(range, patience) }
    }

    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError> {
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        unsafe { self.0.commit(range, patience) }
    }

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        unsafe { self.0.decommit(range, patience) }
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        unsafe { self.0.fault(range, patience) }
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        unsafe { self.0.release(range, patience) }
    }

    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        self.0.pointer(addr)
    }

    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        self.0.address(pointer)
    }

    fn footprint(&self) -> Footprint {
        // The holder of the lock that this call waits for may free first.
        LOCKED.for_each_span(|_| ());
        self.0.footprint()
    }
}

#[test]
fn the_machine_is_asked_for_its_footprint_with_no_lock_held() {
    LOCKED
        .init(&[lone_window::<Plain32>(16 << 20)], Locked(Sim::default()))
        .expect("a good window");
    let stats = LOCKED.stats();
    assert!(stats.footprint.table_frames > 0);
    assert_eq!(stats.sum(), stats.mapped_ready);
}
