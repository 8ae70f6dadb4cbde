//! An arena of half a chunk.

use archipelago_flat::{CriticalSection, FlatHeap, Geometry};

archipelago_flat::shape! {
    HalfAChunk = Geometry { arena_shift: 15, ..Geometry::small(24, 10) }
}

static HEAP: FlatHeap<CriticalSection, HalfAChunk> = FlatHeap::empty();

fn main() {
    println!("{:?}", HEAP.range());
}
