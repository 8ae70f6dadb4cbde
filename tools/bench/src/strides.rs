//! The memory that one object of many occupies.

use alloc::collections::BTreeMap;
use core::alloc::Layout;

use archipelago::Purpose;
use archipelago_sim::SimGeometry;

use crate::{Archipelago, Subject};

/// The number of objects whose distances are measured.
const OBJECTS: usize = 1000;

/// The most frequent distance between neighbours of `layout`, in bytes.
#[must_use]
pub fn stride(subject: &mut impl Subject, layout: Layout) -> usize {
    let mut addresses: Vec<usize> = (0..OBJECTS)
        .map(|_| subject.allocate(layout).expect("memory").addr().get())
        .collect();
    addresses.sort_unstable();
    let mut distances = BTreeMap::new();
    for pair in addresses.windows(2) {
        *distances.entry(pair[1] - pair[0]).or_insert(0_usize) += 1;
    }
    let most_frequent = distances.into_iter().max_by_key(|(_, times)| *times);
    most_frequent.expect("several objects").0
}

/// Bytes of pages that the heap takes for one span of `layout`, and the objects that fill it. Their
/// quotient is the memory of an object, the span's tail included.
#[must_use]
pub fn occupied<G: SimGeometry>(heap: &mut Archipelago<G>, layout: Layout) -> (usize, usize) {
    let bytes_with_another = |heap: &mut Archipelago<G>| {
        heap.allocate(layout).expect("memory");
        heap.stats().of(Purpose::Objects)
    };
    let before = heap.stats().of(Purpose::Objects);
    let span = bytes_with_another(heap);
    let mut objects = 1;
    while bytes_with_another(heap) == span {
        objects += 1;
    }
    (span - before, objects)
}
