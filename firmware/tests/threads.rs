//! Calls from several threads before and during initialisation, which touch no state of the heap
//! that another thread writes: under Miri a data race is an error.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use core::alloc::Layout;
use core::ptr::NonNull;
use std::sync::Barrier;
use std::thread;

use archipelago_firmware::{Fault, FirmwareHeap, InitError, Stats};
use archipelago_sim::Hosted;

/// A heap whose kernel masks the interrupts of each thread alone, and keeps no other thread away.
type Heap = FirmwareHeap<Hosted>;

const LAYOUT: Layout = Layout::new::<[u64; 5]>();

/// Memory for a heap that is dropped before it.
fn block() -> Vec<u8> {
    vec![0xa5; 4 << 10]
}

/// Makes every call that a heap without memory answers.
fn find_nothing(heap: &Heap) {
    assert_eq!(heap.allocate(LAYOUT), None);
    let mut none = 0_u64;
    let foreign = NonNull::from(&mut none).cast();
    // SAFETY: no object of the heap begins there.
    let freed = unsafe { heap.try_deallocate(foreign, LAYOUT) };
    let fault = freed.expect_err("it is no object").fault;
    assert_eq!(fault, Fault::ForeignPointer);
    // SAFETY: no object of the heap begins there.
    let moved = unsafe { heap.try_reallocate(foreign, LAYOUT, LAYOUT) };
    let fault = moved.expect_err("it is no object").fault;
    assert_eq!(fault, Fault::ForeignPointer);
    assert_eq!(heap.stats(), Stats::default());
    let mut objects = 0;
    heap.for_each_object(|_, _| objects += 1);
    assert_eq!(objects, 0);
    assert_eq!(heap.verify(), Ok(()));
}

#[test]
fn a_heap_without_memory_is_used_from_anywhere() {
    let heap = Heap::empty();
    let together = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                together.wait();
                find_nothing(&heap);
            });
        }
    });
}

#[test]
fn a_call_during_initialisation_finds_no_memory_or_all_of_it() {
    let mut block = block();
    let heap = Heap::empty();
    let together = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            together.wait();
            // SAFETY:
            // - the memory is for the heap alone until both are dropped;
            // - once this call has succeeded, the other thread alone uses the heap.
            unsafe { heap.init(block.as_mut_ptr(), block.len()) }.expect("a good block");
        });
        together.wait();
        let object = loop {
            match heap.allocate(LAYOUT) {
                Some(object) => break object,
                None => thread::yield_now(),
            }
        };
        assert_eq!(heap.verify(), Ok(()));
        // SAFETY: the object was allocated with this layout, and nothing uses it any more.
        unsafe { heap.deallocate(object, LAYOUT) };
        assert_eq!(heap.stats().used, 0);
    });
}

#[test]
#[cfg(target_has_atomic = "8")]
fn of_two_initialisations_at_once_one_is_refused() {
    let mut blocks = [block(), block()];
    let heap = Heap::empty();
    let together = Barrier::new(2);
    let results = thread::scope(|scope| {
        let threads = blocks.each_mut().map(|block| {
            scope.spawn(|| {
                together.wait();
                // SAFETY:
                // - the memory is for the heap alone until both are dropped;
                // - nothing uses the heap before both threads have ended. Both initialise it, which
                //   is safe where there is compare-and-swap.
                unsafe { heap.init(block.as_mut_ptr(), block.len()) }
            })
        });
        threads.map(|thread| thread.join().expect("no panic"))
    });
    let refused = Err(InitError::AlreadyInitialised);
    assert!(results == [Ok(()), refused] || results == [refused, Ok(())]);
    assert!(heap.allocate(LAYOUT).is_some());
}

#[test]
fn a_visitor_may_use_the_heap() {
    let mut block = block();
    let heap = Heap::empty();
    // SAFETY:
    // - the memory is for the heap alone until both are dropped;
    // - one thread uses the heap.
    unsafe { heap.init(block.as_mut_ptr(), block.len()) }.expect("a good block");
    let objects: Vec<_> = (0..20).filter_map(|_| heap.allocate(LAYOUT)).collect();
    let large = Layout::new::<[u8; 700]>();
    let run = heap.allocate(large).expect("memory");
    let mut found = Vec::new();
    heap.for_each_object(|address, bytes| {
        found.push((address.value(), bytes));
        // Below the visitor's place, at it and above it.
        let new = heap.allocate(LAYOUT).expect("memory");
        // SAFETY: the object was allocated with this layout, and nothing uses it any more.
        unsafe { heap.deallocate(new, LAYOUT) };
    });
    let mut expected: Vec<_> = objects.iter().map(|at| (at.addr().get(), 40)).collect();
    expected.push((run.addr().get(), 768));
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(heap.verify(), Ok(()));
}
