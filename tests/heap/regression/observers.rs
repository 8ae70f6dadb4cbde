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

    unsafe fn restore_interrupts(state: InterruptState) {
        // SAFETY: the caller's promise is the same.
        unsafe { Hosted::restore_interrupts(state) };
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

    unsafe fn restore_interrupts(state: InterruptState) {
        // SAFETY: the caller's promise is the same.
        unsafe { Hosted::restore_interrupts(state) };
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

/// Allocates, frees, grows and looks into `heap`.
fn use_all_of(heap: &Heap<Sim<Plain32>, Hosted>) {
    for bytes in [24, 100_000] {
        let memory = heap.allocate(layout(bytes, 8), AllocFlags::empty());
        let memory = memory.expect("memory").cast();
        // SAFETY: it was allocated above with this layout and is not used any more.
        unsafe { heap.deallocate(memory, layout(bytes, 8)) };
    }
    heap.scavenge(usize::MAX).expect("nobody uses the machine");
    heap.for_each_chunk(|_| ());
    assert_eq!(heap.verify(), Ok(()));
}

#[test]
fn a_heap_is_used_in_the_visitors_of_another() {
    static OUTER: Heap<Sim<Plain32>, Hosted> = Heap::new();
    static INNER: Heap<Sim<Plain32>, Hosted> = Heap::new();
    let window = [lone_window::<Plain32>(16 << 20)];
    OUTER.init(&window, Sim::default()).expect("a good window");
    OUTER
        .allocate(layout(24, 8), AllocFlags::empty())
        .expect("memory");
    let (mut chunks, mut spans) = (0, 0);
    // The first visit initialises the other heap.
    OUTER.for_each_chunk(|_| {
        if chunks == 0 {
            INNER.init(&window, Sim::default()).expect("a good window");
        }
        use_all_of(&INNER);
        chunks += 1;
    });
    OUTER.for_each_span(|_| {
        use_all_of(&INNER);
        spans += 1;
    });
    assert!(chunks > 0 && spans > 0);
    use_all_of(&OUTER);
}

#[test]
#[cfg(debug_assertions)]
fn a_heap_that_is_used_in_its_own_visitor_is_caught() {
    // In a thread of its own: the guards of the locks stay with the CPU when the test unwinds.
    let visit = || {
        let heap: Heap<Sim<Plain32>, Hosted> = Heap::new();
        heap.init(&[lone_window::<Plain32>(16 << 20)], Sim::default())
            .expect("a good window");
        heap.allocate(layout(24, 8), AllocFlags::empty())
            .expect("memory");
        heap.for_each_chunk(|_| {
            heap.allocate(layout(24, 8), AllocFlags::empty()).ok();
        });
    };
    let caught = thread::spawn(visit).join().expect_err("the heap waits");
    let message = caught.downcast_ref::<String>();
    let message = message.expect("a panic with a message");
    assert!(
        message.contains("under one not below it") && message.contains("Kernel::current_cpu"),
        "{message}"
    );
}

/// A machine that computes its footprint under a lock, which other CPUs hold while they use the
/// heap.
struct Locked(Sim<Plain32>);

static LOCKED: Heap<Locked, Hosted> = Heap::new();

// SAFETY: every call is the simulated machine's.
unsafe impl Machine for Locked {
    const GEOMETRY: Geometry = Plain32::GEOMETRY;
    type IndexRoot = [IndexWord; 1];

    unsafe fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.reserve(range, patience) }
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
