//! Heaps that `heap!` declares, without making them the global allocator.

use core::alloc::{GlobalAlloc, Layout};

use archipelago_firmware::{OneBlock, OwnMemory};

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
