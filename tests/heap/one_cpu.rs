//! A kernel with one CPU, whose block is nobody's until it is made.

use alloc::boxed::Box;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use archipelago::{
    AllocFlags, Cause, EarlyRegion, Heap, Purpose, Window, alloc_at_once, alloc_slowly, alloc_soon,
    alloc_zeroed_slowly,
};
use archipelago_api::{CpuId, InterruptState, Kernel, Machine, Reentry, Report, VirtAddr};
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::{layout, lone_window, on_every_geometry};

/// Threads, handlers or nothing may come between two instructions.
const THREADS: u8 = 0;
const HANDLERS: u8 = 1;
const NOTHING: u8 = 2;

/// A kernel with one CPU.
#[derive(Debug)]
struct One<const BETWEEN: u8>;

type OneHeap<G, const BETWEEN: u8> = Heap<Sim<G>, One<BETWEEN>>;

const NONE: AllocFlags = AllocFlags::empty();

impl<const BETWEEN: u8> Kernel for One<BETWEEN> {
    const CPUS: u16 = 1;

    const REENTRY: Reentry = match BETWEEN {
        THREADS => Reentry::THREADS,
        // SAFETY: one thread uses the heap, and there are no handlers.
        HANDLERS => unsafe { Reentry::handlers() },
        // SAFETY: as above.
        _ => unsafe { Reentry::nothing() },
    };

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
        CpuId(0)
    }

    fn current_thread() -> usize {
        Hosted::current_thread()
    }

    fn context() -> AllocFlags {
        Hosted::context()
    }

    fn relax() {
        Hosted::relax();
    }

    fn stop(report: &Report) -> ! {
        Hosted::stop(report)
    }
}

/// The layouts of requests: of every size of places, and of none.
fn layouts() -> impl Iterator<Item = Layout> {
    let sizes = [1, 8, 64, 1024, 1025, 8192, 8193, 32_768, 32_769, 1 << 20];
    let all = sizes.into_iter().flat_map(|size| {
        let aligns = [1, 16, 64, 4096].into_iter();
        aligns.map(move |align| layout(size, align))
    });
    all.chain([layout(isize::MAX as usize, 1)])
}

/// Makes every request, which is refused, and every free, which is wrong; what the heap says of it.
fn use_before_init<G: SimGeometry, K: Kernel>(
    heap: &Heap<Sim<G>, K>,
    object: NonNull<u8>,
) -> String {
    let mut answers = String::new();
    let mut note = |answer: &dyn core::fmt::Debug| answers += &format!("{answer:?}\n");
    for layout in layouts() {
        let missed = alloc_at_once(heap, layout).expect_err("no heap yet");
        // SAFETY: the heap has missed this layout.
        assert_eq!(unsafe { alloc_soon(heap, missed) }, None);
        assert!(alloc_slowly(heap, layout).is_null());
        assert!(alloc_zeroed_slowly(heap, layout).is_null());
        // SAFETY: the layout is not empty.
        assert!(unsafe { heap.alloc(layout) }.is_null());
        // SAFETY: as above.
        assert!(unsafe { heap.alloc_zeroed(layout) }.is_null());
        for flags in [NONE, AllocFlags::ZEROED, AllocFlags::NO_GROW] {
            let error = heap.allocate(layout, flags).expect_err("no heap yet");
            assert_eq!(error.cause, Cause::NotInitialised);
        }
        // SAFETY: the memory is the test's, and no object.
        note(&unsafe { heap.try_deallocate(object, layout) });
        // SAFETY: as above.
        note(&unsafe { heap.try_reallocate(object, layout, layout, NONE) });
    }
    assert!(!heap.owns(VirtAddr::new(object.addr().get())));
    assert_eq!(heap.verify(), Ok(()));
    note(&heap.stats());
    answers
}

fn refuses_before_init<G: SimGeometry, const BETWEEN: u8>() {
    let heap: Box<OneHeap<G, BETWEEN>> = Box::default();
    let central: Box<Heap<Sim<G>, Hosted>> = Box::default();
    let mut memory = [0_u64; 2];
    let object = NonNull::from(&mut memory).cast();
    let answers = use_before_init(&*heap, object);
    assert_eq!(answers, use_before_init(&*central, object));
    assert_eq!(memory, [0; 2]);
    // The heap is as good as a new one.
    heap.init(&[window::<G>()], Sim::default()).expect("init");
    check_use(&heap);
}

fn a_heap_refuses_before_init_and_touches_nothing<G: SimGeometry>() {
    refuses_before_init::<G, THREADS>();
    refuses_before_init::<G, HANDLERS>();
    refuses_before_init::<G, NOTHING>();
}

/// A window that is large enough for the block, where there is room.
fn window<G: SimGeometry>() -> Window {
    let bytes = G::GEOMETRY.last_offset().value() / 2;
    lone_window::<G>(bytes.min(64 << 20))
}

fn get<G: SimGeometry, const BETWEEN: u8>(heap: &OneHeap<G, BETWEEN>, bytes: usize) -> NonNull<u8> {
    // SAFETY: the layout is not empty.
    NonNull::new(unsafe { heap.alloc(layout(bytes, 8)) }).expect("memory")
}

fn free<G: SimGeometry, const BETWEEN: u8>(
    heap: &OneHeap<G, BETWEEN>,
    object: NonNull<u8>,
    bytes: usize,
) {
    // SAFETY: the object was allocated with this layout, and nothing uses it.
    unsafe { heap.dealloc(object.as_ptr(), layout(bytes, 8)) };
}

/// Objects of many sizes come and go, and none overlaps another.
fn check_use<G: SimGeometry, const BETWEEN: u8>(heap: &OneHeap<G, BETWEEN>) {
    let mut random = fastrand::Rng::with_seed(3);
    let mut live: Vec<(NonNull<u8>, usize, u8)> = Vec::new();
    for step in 0..4000_u32 {
        if live.len() < 100 && random.bool() {
            let bytes = random.usize(1..if step % 8 == 0 { 5000 } else { 200 });
            let (object, mark) = (get(heap, bytes), random.u8(..));
            // SAFETY: the object has so many bytes.
            unsafe { object.write_bytes(mark, bytes) };
            live.push((object, bytes, mark));
        } else if !live.is_empty() {
            let (object, bytes, mark) = live.swap_remove(random.usize(..live.len()));
            for at in [0, bytes / 2, bytes - 1] {
                // SAFETY: the byte is the object's.
                let byte = unsafe { object.add(at) };
                // SAFETY: as above.
                assert_eq!(unsafe { byte.read() }, mark);
            }
            free(heap, object, bytes);
        }
    }
    let stats = heap.stats();
    assert_eq!(stats.small_objects + stats.large_objects, live.len());
    for (object, bytes, _) in live {
        free(heap, object, bytes);
    }
    assert_eq!(heap.verify(), Ok(()));
    heap.scavenge(usize::MAX).expect("not busy");
    assert_eq!(heap.verify(), Ok(()));
    let stats = heap.stats();
    assert_eq!(stats.small_objects + stats.large_objects, 0);
    assert_eq!(stats.of(Purpose::Objects), 0);
}

/// Bytes of spans' metadata beside the pages of records: with a block some kilobytes.
fn block_bytes<G: SimGeometry, const BETWEEN: u8>(heap: &OneHeap<G, BETWEEN>) -> usize {
    let stats = heap.stats();
    stats.of(Purpose::Spans) - stats.record_pages * G::GEOMETRY.page_bytes()
}

/// In windows that are too small for the block all spans are central, for good.
fn small_windows_do_without_the_block<G: SimGeometry>() {
    let heap: Box<OneHeap<G, THREADS>> = Box::default();
    let window = lone_window::<G>(512 << 10);
    heap.init(&[window], Sim::default()).expect("a good window");
    check_use(&heap);
    let mut held = Vec::new();
    while let Ok(object) = heap.allocate(layout(200, 8), NONE) {
        held.push(object.cast());
        assert!(alloc_at_once(&*heap, layout(200, 8)).is_err());
    }
    assert!(block_bytes(&heap) < 4096, "{}", heap.stats());
    assert_eq!(heap.verify(), Ok(()));
    let victim = held[held.len() / 2];
    for object in held {
        free(&heap, object, 200);
    }
    // SAFETY: the object is the test's, and free.
    let again = unsafe { heap.try_deallocate(victim, layout(200, 8)) };
    assert!(again.is_err());
    check_use(&heap);
}

/// The first span is made by the request that makes the block, or soon after it.
fn the_block_serves_once_it_is_made<G: SimGeometry>() {
    let heap: Box<OneHeap<G, THREADS>> = Box::default();
    heap.init(&[window::<G>()], Sim::default()).expect("init");
    if !Sim::<G>::DECOMMITS || window::<G>().bytes < 16 << 20 {
        return;
    }
    assert!(alloc_at_once(&*heap, layout(64, 8)).is_err());
    let first = get(&heap, 64);
    let second = get(&heap, 64);
    let third = alloc_at_once(&*heap, layout(64, 8)).expect("the block has a span");
    assert!(block_bytes(&heap) > 4096, "{}", heap.stats());
    for object in [first, second, third] {
        free(&heap, object, 64);
    }
    check_use(&heap);
}

#[test]
fn early_blocks_are_freed_before_and_after_init() {
    type Plain = archipelago_sim::Plain32;
    static REGION: EarlyRegion<4096> = EarlyRegion::new();
    static HEAP: OneHeap<Plain, THREADS> = Heap::with_early(&REGION);
    let [kept, freed] = [64, 64].map(|bytes| get(&HEAP, bytes));
    assert!(alloc_at_once(&HEAP, layout(64, 8)).is_err());
    free(&HEAP, freed, 64);
    assert_eq!(get(&HEAP, 64), freed, "it is free again");
    HEAP.init(&[window::<Plain>()], Sim::default())
        .expect("init");
    check_use(&HEAP);
    free(&HEAP, kept, 64);
    free(&HEAP, freed, 64);
    check_use(&HEAP);
}

on_every_geometry!(
    a_heap_refuses_before_init_and_touches_nothing,
    small_windows_do_without_the_block,
    the_block_serves_once_it_is_made,
);
