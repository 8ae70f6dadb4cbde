//! Pairs of an allocation and a free through `GlobalAlloc`, as collections make them, in heaps of
//! several kernels.

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;

use archipelago::{Heap, Window};
use archipelago_api::kernels::{Cpus, Threads};
use archipelago_api::{CpuId, Kernel, Reentry};
use archipelago_qemu::{
    HeapMachine, KernelHeap, MultiCpu, Running, SECOND_WINDOW, SingleCpu, SingleCpuThreads,
    TOP_WINDOW, count_instructions, machine, println,
};

use crate::{HEAP, Own, Subject};

/// A heap that is a kernel's global allocator.
trait Global {
    /// The row of the figures.
    const ROW: &'static str;
    type Kernel: Kernel;
    fn heap() -> &'static Heap<HeapMachine, Self::Kernel>;
}

/// A kernel of one CPU without preemption.
enum OneCpu {}

impl Global for OneCpu {
    const ROW: &'static str = "pair~through~GlobalAlloc,~one~CPU";
    type Kernel = SingleCpu;

    fn heap() -> &'static KernelHeap {
        &HEAP
    }
}

/// A kernel of one CPU whose interrupts switch threads.
enum Preemptive {}

impl Threads for Preemptive {
    fn current_thread() -> usize {
        1
    }
}

impl Global for Preemptive {
    const ROW: &'static str = "pair~through~GlobalAlloc,~threads";
    type Kernel = SingleCpuThreads<Self>;

    fn heap() -> &'static Heap<HeapMachine, Self::Kernel> {
        static HEAP: Heap<HeapMachine, SingleCpuThreads<Preemptive>> = Heap::new();
        &HEAP
    }
}

/// A kernel of one CPU that promises: nothing but handlers comes between.
enum Promised {}

impl Cpus for Promised {
    const SEVERAL: bool = false;
    const OWN_SPANS: u16 = 1;
    // SAFETY: the kernel has one CPU and no threads.
    const REENTRY: Reentry = unsafe { Reentry::handlers() };

    fn current_cpu() -> CpuId {
        CpuId(0)
    }
}

impl Global for Promised {
    const ROW: &'static str = "pair~through~GlobalAlloc,~handlers~alone";
    type Kernel = MultiCpu<Self>;

    fn heap() -> &'static Heap<HeapMachine, Self::Kernel> {
        static HEAP: Heap<HeapMachine, MultiCpu<Promised>> = Heap::new();
        &HEAP
    }
}

/// Measures pairs of 64 bytes in every kernel.
pub(crate) fn measure(running: &Running) {
    measure_in::<OneCpu>();
    start::<Preemptive>(running, SECOND_WINDOW);
    measure_in::<Preemptive>();
    start::<Promised>(running, TOP_WINDOW);
    measure_in::<Promised>();
}

fn start<G: Global>(running: &Running, window: Window) {
    let machine = machine(running.shared_memory());
    let started = G::heap().init(&[window], machine);
    started.expect("the window is free");
}

// Out of line, as the compiler's functions are that lead to a global allocator.

#[inline(never)]
fn allocate<G: Global>(layout: Layout) -> *mut u8 {
    // SAFETY: the layout that is measured is not empty.
    unsafe { G::heap().alloc(layout) }
}

/// # Safety
/// The object is live, and has this layout.
#[inline(never)]
unsafe fn free<G: Global>(object: *mut u8, layout: Layout) {
    // SAFETY: the caller's promise is the same.
    unsafe { G::heap().dealloc(object, layout) };
}

/// Stands for [`allocate`] in the loop that the figures are compared with.
#[inline(never)]
fn allocate_nothing(layout: Layout) -> *mut u8 {
    black_box(core::ptr::without_provenance_mut(layout.align()))
}

/// Stands for [`free`] there.
#[inline(never)]
fn free_nothing(object: *mut u8, layout: Layout) {
    black_box(object);
    black_box(layout);
}

fn measure_in<G: Global>() {
    const PAIRS: u64 = 1_000;
    let layout = black_box(Layout::new::<[u64; 8]>());
    let pair = || {
        let object = allocate::<G>(layout);
        assert!(!object.is_null(), "there is memory");
        // SAFETY: the object was allocated just now with this layout.
        unsafe { free::<G>(object, layout) };
    };
    let nothing = || {
        let object = allocate_nothing(layout);
        assert!(!object.is_null(), "there is memory");
        free_nothing(object, layout);
    };
    // Neighbours that stay, so that no span becomes empty.
    let neighbours = [(); 10].map(|()| allocate::<G>(layout));
    (0..PAIRS).for_each(|_| pair());
    let (nothing, ()) = count_instructions(|| (0..PAIRS).for_each(|_| nothing()));
    let (pairs, ()) = count_instructions(|| (0..PAIRS).for_each(|_| pair()));
    for object in neighbours {
        // SAFETY: the object was allocated with this layout, and nothing uses it.
        unsafe { free::<G>(object, layout) };
    }
    let each = (pairs - nothing) / PAIRS;
    println!("figure objects {} {} {each}", G::ROW, Own::NAME);
}
