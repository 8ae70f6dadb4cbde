//! Wrong frees: each stops the machine with a report that names the mistake.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_firmware::FirmwareHeap;
use archipelago_sim::Hosted;

type Subject = FirmwareHeap<Hosted, 256>;

/// A heap over memory that is never freed.
fn subject() -> Subject {
    let ram = vec![0_u8; 16 << 10].leak();
    let heap = Subject::empty();
    // SAFETY: the memory is for the heap alone from now on, and one thread uses the heap.
    let given = unsafe { heap.init(ram.as_mut_ptr(), ram.len()) };
    assert_eq!(given, Ok(()));
    heap
}

fn layout(size: usize, align: usize) -> Layout {
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(error) => unreachable!("{error}"),
    }
}

fn get(heap: &Subject, layout: Layout) -> NonNull<u8> {
    match heap.allocate(layout) {
        Some(pointer) => pointer,
        None => unreachable!("a fresh heap serves {layout:?}"),
    }
}

/// Frees in a way that is wrong.
fn free(heap: &Subject, pointer: NonNull<u8>, layout: Layout) {
    // SAFETY: not so; the heap has to notice before it uses either.
    unsafe { heap.deallocate(pointer, layout) };
}

#[test]
#[should_panic(expected = "freed twice")]
fn a_slot_that_is_free() {
    let heap = subject();
    let [first, _second] = [0; 2].map(|_| get(&heap, layout(24, 8)));
    free(&heap, first, layout(24, 8));
    free(&heap, first, layout(24, 8));
}

#[test]
#[should_panic(expected = "freed twice")]
fn a_slot_whose_page_is_free() {
    let heap = subject();
    let object = get(&heap, layout(24, 8));
    free(&heap, object, layout(24, 8));
    free(&heap, object, layout(24, 8));
}

#[test]
#[should_panic(expected = "freed twice")]
fn a_run_that_is_free() {
    let heap = subject();
    let object = get(&heap, layout(1000, 8));
    free(&heap, object, layout(1000, 8));
    free(&heap, object, layout(1000, 8));
}

#[test]
#[should_panic(expected = "not an address of this heap")]
fn a_foreign_pointer() {
    let mut other = 0_u64;
    free(&subject(), NonNull::from(&mut other).cast(), layout(8, 8));
}

#[test]
#[should_panic(expected = "not an address of this heap")]
fn a_pointer_into_the_metadata() {
    let heap = subject();
    // The first object lies in the first page after the metadata.
    let object = get(&heap, layout(128, 128));
    // SAFETY: the metadata of 64 pages takes two pages before the first object, in the same block.
    let metadata = unsafe { object.sub(256) };
    free(&heap, metadata, layout(128, 128));
}

#[test]
#[should_panic(expected = "not an address of this heap")]
fn any_pointer_before_init() {
    let mut other = 0_u64;
    free(
        &Subject::empty(),
        NonNull::from(&mut other).cast(),
        layout(8, 8),
    );
}

#[test]
#[should_panic(expected = "not the start of an object")]
fn the_inside_of_a_slot() {
    let heap = subject();
    let object = get(&heap, layout(64, 8));
    free(&heap, object.map_addr(|addr| addr | 8), layout(64, 8));
}

#[test]
#[should_panic(expected = "not the start of an object")]
fn the_tail_of_a_span() {
    let heap = subject();
    // Ten slots of 24 bytes, and 16 bytes that are none.
    let object = get(&heap, layout(24, 8));
    free(&heap, object.map_addr(|addr| addr | 240), layout(24, 8));
}

#[test]
#[should_panic(expected = "not the start of an object")]
fn a_later_page_of_a_run() {
    let heap = subject();
    let object = get(&heap, layout(2048, 2048));
    free(
        &heap,
        object.map_addr(|addr| addr | 256),
        layout(2048, 2048),
    );
}

#[test]
#[should_panic(expected = "not the layout it was allocated with")]
fn a_slot_of_another_size() {
    let heap = subject();
    let object = get(&heap, layout(24, 8));
    free(&heap, object, layout(40, 8));
}

#[test]
#[should_panic(expected = "not the layout it was allocated with")]
fn a_run_of_another_size() {
    let heap = subject();
    let object = get(&heap, layout(1000, 8));
    free(&heap, object, layout(1100, 8));
}

#[test]
#[should_panic(expected = "freed twice")]
fn reallocating_what_is_free() {
    let heap = subject();
    let object = get(&heap, layout(24, 8));
    free(&heap, object, layout(24, 8));
    // SAFETY: not so; the heap has to notice before it uses either.
    let moved = unsafe { heap.reallocate(object, layout(24, 8), layout(100, 8)) };
    assert_eq!(moved, None);
}

#[test]
fn wrong_frees_that_are_noticed_change_nothing() {
    let heap = subject();
    let object = get(&heap, layout(64, 8));
    let before = heap.stats();
    let wrong = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        free(&heap, object.map_addr(|addr| addr | 8), layout(64, 8));
    }));
    assert!(wrong.is_err());
    assert_eq!((heap.stats(), heap.verify()), (before, Ok(())));
    free(&heap, object, layout(64, 8));
}
