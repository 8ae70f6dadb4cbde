//! Heaps that `heap!` declares, without making them the global allocator.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use archipelago_firmware::{CriticalSection, FirmwareHeap, OneBlock, OwnMemory};

archipelago_firmware::heap!(@static HEAP, 32 * 1024);
archipelago_firmware::heap!(@static SMALLEST, 1024);

fn serves<H: OneBlock, const BYTES: usize>(heap: &'static OwnMemory<H, BYTES>, layout: Layout) {
    // SAFETY: the layout has at least one byte.
    let object = unsafe { heap.alloc(layout) };
    assert!(!object.is_null());
    // SAFETY: the object has that many bytes.
    unsafe { object.write_bytes(0xa5, layout.size()) };
    // SAFETY: it was allocated just now, and nothing uses it any more.
    unsafe { heap.dealloc(object, layout) };
}

#[test]
fn a_heap_in_one_line_serves_its_first_request() {
    serves(&HEAP, Layout::new::<[u8; 30_000]>());
    assert_eq!(HEAP.stats().used, 0);
    // Nothing but metadata is lost: no page at either end.
    assert!(HEAP.stats().free >= 32 * 1024 - 1024, "{:?}", HEAP.stats());
    HEAP.verify().expect("the heap is sound");
}

#[test]
fn the_smallest_one_serves_a_small_object() {
    serves(&SMALLEST, Layout::new::<[u8; 64]>());
}

/// Code that comes in while the heap is given its memory waits outside of the critical section, as
/// a handler does, and is served afterwards.
#[test]
fn a_first_request_during_another_one_is_served() {
    type Own = FirmwareHeap<CriticalSection>;
    // So many heaps, and so much metadata to write, that two requests meet.
    const COUNT: usize = if cfg!(miri) { 8 } else { 64 };
    const BYTES: usize = if cfg!(miri) { 32 << 10 } else { 4 << 20 };
    static HEAPS: [OwnMemory<Own, BYTES>; COUNT] = [const {
        // SAFETY: these are statics.
        unsafe { OwnMemory::new(Own::empty()) }
    }; COUNT];
    for heap in &HEAPS {
        let both_there = AtomicUsize::new(0);
        let first_request = || {
            both_there.fetch_add(1, Ordering::Relaxed);
            while both_there.load(Ordering::Relaxed) < 2 {
                thread::yield_now();
            }
            serves(heap, Layout::new::<u64>());
        };
        thread::scope(|scope| {
            scope.spawn(first_request);
            first_request();
        });
    }
}
