//! Pages for which there are no size classes.

use archipelago_flat::{CriticalSection, FlatHeap, Small};

static HEAP: FlatHeap<CriticalSection, Small<16, 7>> = FlatHeap::empty();

fn main() {
    println!("{:?}", HEAP.range());
}
