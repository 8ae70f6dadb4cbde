//! Threads that use a heap for the first time, all at once.

use core::alloc::{GlobalAlloc, Layout};
use std::sync::Barrier;
use std::thread;

use archipelago_host::HostHeap;

const THREADS: usize = 8;

#[test]
fn no_request_is_refused_because_another_thread_opens_the_heap() {
    for _ in 0..100 {
        let heap = HostHeap::with_window(64 << 20);
        let barrier = Barrier::new(THREADS);
        thread::scope(|scope| {
            for number in 1..=THREADS {
                let (heap, barrier) = (&heap, &barrier);
                scope.spawn(move || {
                    let layout = Layout::from_size_align(number * 16, 8).expect("a layout");
                    barrier.wait();
                    // SAFETY: the layout has bytes.
                    let object = unsafe { heap.alloc(layout) };
                    assert!(!object.is_null(), "thread {number} is refused");
                    // SAFETY: the object is as long, and this thread's alone.
                    unsafe { object.write_bytes(1, layout.size()) };
                    // SAFETY: the object was allocated with this layout, and is used no more.
                    unsafe { heap.dealloc(object, layout) };
                });
            }
        });
        assert_eq!(heap.verify(), Ok(()));
    }
}

#[test]
fn a_refusal_that_stands_is_null_and_the_next_request_is_served() {
    let heap = HostHeap::with_window(8 << 20);
    let large = Layout::new::<[u8; 1 << 24]>();
    for _ in 0..3 {
        // SAFETY: the layout has bytes.
        assert!(unsafe { heap.alloc(large) }.is_null());
        // SAFETY: the layout has bytes.
        assert!(unsafe { heap.alloc_zeroed(large) }.is_null());
    }
    // SAFETY: the layout has bytes.
    assert!(!unsafe { heap.alloc(Layout::new::<u64>()) }.is_null());
}

#[test]
fn a_heap_in_the_place_of_another_is_opened_too() {
    let first_object = |heap: &HostHeap| {
        // SAFETY: the layout has bytes.
        assert!(!unsafe { heap.alloc(Layout::new::<u64>()) }.is_null());
    };
    let mut place = HostHeap::with_window(8 << 20);
    for _ in 0..3 {
        first_object(&place);
        place = HostHeap::with_window(8 << 20);
    }
}
