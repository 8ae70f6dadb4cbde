//! An early region for a heap that has its memory from the start.

use archipelago::{EarlyRegion, Heap};
use archipelago_flat::{CriticalSection, Flat, Small};

static EARLY: EarlyRegion<1024> = EarlyRegion::new();
static HEAP: Heap<Flat<Small>, CriticalSection> = Heap::with_early(&EARLY);

fn main() {
    println!("{HEAP:?}");
}
