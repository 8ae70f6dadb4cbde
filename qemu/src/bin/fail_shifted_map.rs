//! Must fail: the map of a type says of the word before a pointer that it is one. Each way of
//! walking has to find that; the word `way=NAME` on the command line chooses one.
#![no_std]
#![no_main]

use core::mem::offset_of;

use archipelago::bits::{PointerMap, Scannable};
use archipelago::{AllocFlags, EarlyRegion};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::scannable::{Objects, Shape, Typed, WAYS};
use archipelago_qemu::{Boot, KernelHeap, Running, SCANNABLE_PLACES, entry, start_heap};

entry!(main);

static HEAP: KernelHeap = KernelHeap::new();

/// For what is recorded of objects.
#[global_allocator]
static RECORDS: KernelHeap = KernelHeap::with_early(&EARLY);
static EARLY: EarlyRegion<{ 4 << 10 }> = EarlyRegion::new();

const SHIFTED: Shape = Shape::array::<Shifted>("shifted structures");

/// Its map is wrong.
#[repr(C)]
struct Shifted {
    numbers: [usize; 2],
    pointer: *mut u8,
    last: usize,
}

// SAFETY: it is not safe: the pointer is the third word, which is what this kernel is for. Nothing
// follows what the map says are pointers.
unsafe impl Scannable for Shifted {
    const MAP: PointerMap<'static> = PointerMap::from_mask(4, 0b0010);
}

impl Typed for Shifted {
    fn holds_pointer(offset: usize) -> bool {
        offset == offset_of!(Self, pointer)
    }

    fn leading_to(target: *mut u8) -> Self {
        Self {
            numbers: [0; 2],
            pointer: target,
            last: 0,
        }
    }
}

fn main(boot: Boot) -> ! {
    let place = SCANNABLE_PLACES[0];
    let mut running = start_heap(boot, &HEAP, place.windows);
    protocol::run(
        &[Test {
            name: "a map that is shifted by one word is found",
            run: shifted,
        }],
        &mut running,
    )
}

fn shifted(running: &mut Running) {
    let chosen = running.info.value("way");
    let way = WAYS.iter().find(|(name, _)| Some(*name) == chosen);
    let (_, compare) = way.expect("a way to walk");
    let mut objects = Objects::new(&HEAP, 1, AllocFlags::empty());
    let live = objects.allocate(&SHIFTED, 3).expect("memory");
    protocol::must_say(format_args!(" of {live} is laid out as "));
    compare(&objects, &SCANNABLE_PLACES[0].windows[1..]);
}
