//! Heaps that `heap!` declares, without making them the global allocator.

use core::alloc::{GlobalAlloc, Layout};

use archipelago_flat::{OneBlock, OwnMemory};

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
