//! A shape that adds up: this program compiles.

use archipelago_flat::{CriticalSection, FlatHeap, Small};

static HEAP: FlatHeap<CriticalSection, Small<24, 10>> = FlatHeap::empty();

fn main() {
    println!("{:?}", HEAP.range());
}
