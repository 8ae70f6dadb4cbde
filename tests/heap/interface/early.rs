//! Before `init`: the early region, and what becomes of its blocks.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use archipelago::{AllocFlags, Cause, EarlyRegion, Heap, VirtAddr};
use archipelago_sim::{Hosted, Plain32, Sim};
use archipelago_testing::{layout, lone_window};

/// Bytes of the early regions.
const EARLY_BYTES: usize = 16 * 1024;

/// A heap in a static, as a kernel has it.
type Kernel = Heap<Sim<Plain32>, Hosted>;

fn init(heap: &Kernel) -> Sim<Plain32> {
    let machine = Sim::<Plain32>::default();
    heap.init(&[lone_window::<Plain32>(16 << 20)], machine.clone())
        .expect("init");
    machine
}

fn allocate(heap: &Kernel, layout: Layout) -> NonNull<u8> {
    // SAFETY: no layout here is empty.
    NonNull::new(unsafe { heap.alloc(layout) }).expect("memory")
}

fn free(heap: &Kernel, pointer: NonNull<u8>, layout: Layout) {
    // SAFETY: the callers allocated it with this layout and use it no more.
    unsafe { heap.dealloc(pointer.as_ptr(), layout) };
}

fn write(pointer: NonNull<u8>, bytes: &[u8]) {
    for (at, byte) in bytes.iter().enumerate() {
        // SAFETY: the callers' objects are at least that long.
        let place = unsafe { pointer.add(at) };
        // SAFETY: as above.
        unsafe { place.write(*byte) };
    }
}

fn read(pointer: NonNull<u8>, count: usize) -> Vec<u8> {
    let at = |at| {
        // SAFETY: the callers' objects are at least that long.
        let place = unsafe { pointer.add(at) };
        // SAFETY: as above, and written before.
        unsafe { place.read() }
    };
    (0..count).map(at).collect()
}

#[test]
fn a_heap_without_early_region_refuses_until_it_is_initialised() {
    static HEAP: Kernel = Heap::new();
    let wanted = layout(8, 8);
    // SAFETY: the layout is not empty.
    assert!(unsafe { HEAP.alloc(wanted) }.is_null());
    let error = HEAP
        .allocate(wanted, AllocFlags::empty())
        .expect_err("no heap yet");
    assert_eq!(error.cause, Cause::NotInitialised);
    init(&HEAP);
    free(&HEAP, allocate(&HEAP, wanted), wanted);
}

#[test]
fn the_early_region_serves_until_init_and_takes_its_blocks_back_afterwards() {
    static EARLY: EarlyRegion<EARLY_BYTES> = EarlyRegion::new();
    static HEAP: Kernel = Heap::with_early(&EARLY);
    let wanted = layout(100, 64);
    let early = allocate(&HEAP, wanted);
    assert!(early.addr().get() % 64 == 0);
    write(early, b"early");
    assert_eq!(
        (HEAP.stats().early_bytes, HEAP.stats().mapped_ready),
        (EARLY_BYTES, 0)
    );

    let machine = init(&HEAP);
    let later = allocate(&HEAP, wanted);
    assert_eq!(
        machine_address(&machine, early),
        None,
        "early blocks are no window's"
    );
    assert!(machine_address(&machine, later).is_some_and(|address| HEAP.owns(address)));
    let live = HEAP.stats().small_objects;
    assert_eq!(read(early, 5), b"early");
    free(&HEAP, early, wanted);
    assert_eq!(
        HEAP.stats().small_objects,
        live,
        "an early block is none of the heap's"
    );
    free(&HEAP, later, wanted);
    assert_eq!(HEAP.stats().small_objects, live - 1);
    assert_eq!(HEAP.verify(), Ok(()));
}

#[test]
fn a_realloc_moves_an_early_block_over() {
    static EARLY: EarlyRegion<EARLY_BYTES> = EarlyRegion::new();
    static HEAP: Kernel = Heap::with_early(&EARLY);
    let old = layout(100, 8);
    let early = allocate(&HEAP, old);
    write(early, b"moves over");
    let machine = init(&HEAP);
    // SAFETY: the block is live and was allocated with this layout.
    let moved = unsafe { HEAP.realloc(early.as_ptr(), old, 5000) };
    let moved = NonNull::new(moved).expect("memory");
    assert_eq!(read(moved, 10), b"moves over");
    assert!(machine_address(&machine, moved).is_some_and(|address| HEAP.owns(address)));
    free(&HEAP, moved, layout(5000, 8));
    assert_eq!(HEAP.verify(), Ok(()));
}

#[test]
fn a_realloc_before_init_stays_in_the_early_region() {
    static EARLY: EarlyRegion<EARLY_BYTES> = EarlyRegion::new();
    static HEAP: Kernel = Heap::with_early(&EARLY);
    let old = layout(100, 8);
    let early = allocate(&HEAP, old);
    write(early, b"stays");
    // SAFETY: the block is live and was allocated with this layout.
    let grown = unsafe { HEAP.realloc(early.as_ptr(), old, 3000) };
    let grown = NonNull::new(grown).expect("memory");
    assert_eq!(read(grown, 5), b"stays");
    init(&HEAP);
    free(&HEAP, grown, layout(3000, 8));
    assert_eq!(HEAP.stats().small_objects, 0);
}

#[test]
fn the_early_region_can_be_full_and_is_whole_again_when_all_is_freed() {
    static EARLY: EarlyRegion<EARLY_BYTES> = EarlyRegion::new();
    static HEAP: Kernel = Heap::with_early(&EARLY);
    let wanted = layout(1000, 8);
    for _ in 0..3 {
        let mut blocks = Vec::new();
        let refused = loop {
            match HEAP.allocate(wanted, AllocFlags::empty()) {
                Ok(memory) => blocks.push(memory.cast()),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.cause, Cause::NotInitialised);
        assert!(
            blocks.len() * 1000 > EARLY_BYTES / 2,
            "{} blocks",
            blocks.len()
        );
        for block in blocks {
            free(&HEAP, block, wanted);
        }
    }
}

#[test]
fn zeroed_early_memory_is_zero_although_it_was_used() {
    static EARLY: EarlyRegion<EARLY_BYTES> = EarlyRegion::new();
    static HEAP: Kernel = Heap::with_early(&EARLY);
    let wanted = layout(EARLY_BYTES / 2, 8);
    let dirty = allocate(&HEAP, wanted);
    write(dirty, &[0xff; EARLY_BYTES / 2]);
    free(&HEAP, dirty, wanted);
    // SAFETY: the layout is not empty.
    let clean = NonNull::new(unsafe { HEAP.alloc_zeroed(wanted) }).expect("memory");
    assert_eq!(clean, dirty, "the same bytes");
    assert!(read(clean, wanted.size()).iter().all(|byte| *byte == 0));
    free(&HEAP, clean, wanted);
}

#[test]
fn early_blocks_outlive_many_later_ones() {
    static EARLY: EarlyRegion<EARLY_BYTES> = EarlyRegion::new();
    static HEAP: Kernel = Heap::with_early(&EARLY);
    let wanted = layout(24, 8);
    let early: Vec<_> = (0..50).map(|_| allocate(&HEAP, wanted)).collect();
    for (number, block) in (0..).zip(&early) {
        write(*block, &[number; 24]);
    }
    init(&HEAP);
    let later: Vec<_> = (0..1000).map(|_| allocate(&HEAP, wanted)).collect();
    for block in &later {
        write(*block, &[0xee; 24]);
    }
    for (number, block) in (0..).zip(early) {
        assert_eq!(read(block, 24), [number; 24]);
        free(&HEAP, block, wanted);
    }
    for block in later {
        free(&HEAP, block, wanted);
    }
    assert_eq!(HEAP.stats().small_objects, 0);
}

fn machine_address(machine: &Sim<Plain32>, pointer: NonNull<u8>) -> Option<VirtAddr> {
    archipelago::Machine::address(machine, pointer)
}
