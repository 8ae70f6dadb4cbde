//! Early regions: one heap each, and no request that they cannot hold.

use core::ptr::NonNull;

use archipelago::{AllocFlags, Cause, EarlyRegion, Heap};
use archipelago_sim::{Hosted, Plain32, Sim};
use archipelago_testing::layout;

type Kernel = Heap<Sim<Plain32>, Hosted>;

fn early(heap: &Kernel, bytes: usize) -> Result<NonNull<u8>, Cause> {
    let result = heap.allocate(layout(bytes, 8), AllocFlags::empty());
    result.map(NonNull::cast).map_err(|error| error.cause)
}

#[test]
fn an_early_region_serves_one_heap() {
    static EARLY: EarlyRegion<1024> = EarlyRegion::new();
    static FIRST: Kernel = Heap::with_early(&EARLY);
    static SECOND: Kernel = Heap::with_early(&EARLY);
    let block = early(&FIRST, 100).expect("there is room");
    assert_eq!(early(&SECOND, 100), Err(Cause::NotInitialised));
    // SAFETY: it was allocated above with this layout and is not used any more.
    unsafe { FIRST.deallocate(block, layout(100, 8)) };
    assert!(early(&FIRST, 1000).is_ok());
}

#[test]
#[should_panic(expected = "not an address of this heap")]
fn a_block_of_another_heaps_early_region_is_foreign() {
    static EARLY: EarlyRegion<1024> = EarlyRegion::new();
    static FIRST: Kernel = Heap::with_early(&EARLY);
    static SECOND: Kernel = Heap::with_early(&EARLY);
    let block = early(&FIRST, 100).expect("there is room");
    // SAFETY: the call breaks the contract on purpose. The heap notices it, and stops before it
    // changes anything.
    unsafe { SECOND.deallocate(block, layout(100, 8)) };
}

#[test]
fn an_early_region_too_small_for_anything_refuses() {
    static EARLY: EarlyRegion<{ size_of::<usize>() }> = EarlyRegion::new();
    static HEAP: Kernel = Heap::with_early(&EARLY);
    assert_eq!(early(&HEAP, 1), Err(Cause::NotInitialised));
}
