//! Heaps that `heap!` declares, without making them the global allocator.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use archipelago_flat::{CriticalSection, FlatHeap, OneBlock, OwnMemory, Small};

// Of each size of page, the least and the most memory.
archipelago_flat::heap!(@static LEAST, 8 << 10);
archipelago_flat::heap!(@static OF_256, 64 << 10);
archipelago_flat::heap!(@static OF_512, (64 << 10) + 1);
archipelago_flat::heap!(@static OF_512_MOST, 256 << 10);
archipelago_flat::heap!(@static OF_1024, 300 * 1000);
#[cfg(not(miri))]
archipelago_flat::heap!(@static MOST, 32 << 20);

fn serves<H: OneBlock, const BYTES: usize>(heap: &'static OwnMemory<H, BYTES>, bytes: usize) {
    let layout = Layout::from_size_align(bytes, 8).expect("a layout");
    for _ in 0..2 {
        // SAFETY: the layout has at least one byte.
        let object = unsafe { heap.alloc_zeroed(layout) };
        assert!(!object.is_null());
        // SAFETY: the object has that many bytes.
        unsafe { object.write_bytes(0xa5, layout.size()) };
        // SAFETY: it was allocated just now, and nothing uses it any more.
        unsafe { heap.dealloc(object, layout) };
    }
}

#[test]
fn a_heap_in_one_line_serves_its_first_request() {
    serves(&LEAST, 64);
    serves(&OF_256, 48 << 10);
    serves(&OF_512, 48 << 10);
    serves(&OF_512_MOST, 200 << 10);
    serves(&OF_1024, 200 << 10);
    #[cfg(not(miri))]
    serves(&MOST, 30 << 20);
    OF_256.verify().expect("the heap is sound");
}

#[test]
fn it_can_be_asked_before_its_first_request() {
    archipelago_flat::heap!(@static HEAP, 32 * 1024);
    let range = HEAP.range().expect("it has its memory");
    // One page is the machine's, and none is lost at either end.
    assert_eq!(range.len(), 32 * 1024 - 256);
}

/// Code that comes in while the heap is given its memory waits outside of the critical section, as
/// a handler does, and finds a heap that has it.
#[test]
fn a_heap_that_is_first_used_twice_at_once_has_its_memory() {
    type Own = FlatHeap<CriticalSection, Small<23, 10>, 1>;
    // So many heaps, and so much metadata to write, that two uses meet.
    const COUNT: usize = if cfg!(miri) { 8 } else { 64 };
    const BYTES: usize = if cfg!(miri) { 32 << 10 } else { 4 << 20 };
    static HEAPS: [OwnMemory<Own, BYTES>; COUNT] = [const {
        // SAFETY: these are statics.
        unsafe { OwnMemory::new(Own::empty()) }
    }; COUNT];
    for heap in &HEAPS {
        let both_there = AtomicUsize::new(0);
        let first_use = || {
            both_there.fetch_add(1, Ordering::Relaxed);
            while both_there.load(Ordering::Relaxed) < 2 {
                thread::yield_now();
            }
            assert!(heap.range().is_some());
        };
        thread::scope(|scope| {
            scope.spawn(first_use);
            first_use();
        });
    }
}
