//! The whole heap with its bitmap on a machine without an MMU: an object is described, read and
//! freed.
#![no_std]
#![no_main]

use core::alloc::Layout;

use archipelago::AllocFlags;
use archipelago::bits::Description;
use archipelago_flat::{CriticalSection, FlatHeap};
use archipelago_link_check::{RAM, RAM_BYTES, halt};

#[global_allocator]
static HEAP: FlatHeap<CriticalSection> = FlatHeap::empty();

/// Numbers and a pointer, so that adjacent objects share units of the bitmap.
type Node = (usize, Option<&'static u8>, usize);

/// The number of pointer words of one object.
fn work() -> Option<usize> {
    let layout = Layout::new::<Node>();
    let node = Description::of::<Node>();
    let heap = HEAP.heap();
    let memory = heap
        .allocate_scannable(layout, &node, AllocFlags::ZEROED)
        .ok()?;
    let object = heap.object_of(memory.cast())?;
    let found = heap.bits().pointer_words(object)?.count();
    // SAFETY:
    // - The object was allocated with this layout, and nothing has freed it.
    // - Nothing uses it afterwards.
    unsafe { heap.deallocate(memory.cast(), layout) };
    Some(found)
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: nothing else uses the RAM.
    let given = unsafe { HEAP.init(RAM.start(), RAM_BYTES) };
    if given.is_ok() {
        core::hint::black_box(work());
    }
    halt()
}
