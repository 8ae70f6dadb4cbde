//! A space whose index needs a root of more than one word.

use archipelago_flat::{CriticalSection, FlatHeap, Small};

static HEAP: FlatHeap<CriticalSection, Small<30, 10>> = FlatHeap::empty();

fn main() {
    println!("{:?}", HEAP.range());
}
