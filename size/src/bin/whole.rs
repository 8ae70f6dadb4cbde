#![no_std]
#![no_main]
use archipelago_flat::{FlatHeap, Region, Small};
use archipelago_size::stand_in::Silent;
static HEAP: FlatHeap<Silent, Small<21, 10>> = FlatHeap::empty();
#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: *mut u8, bytes: usize) -> bool {
    unsafe { HEAP.init_regions(&[Region::new(start, bytes)], &[]) }.is_ok()
}
archipelago_size::exports!(HEAP);
