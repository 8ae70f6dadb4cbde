//! The cost of a heap with one object: its static, and the metadata that it commits.

use core::alloc::Layout;

use archipelago::{Heap, Purpose};
use archipelago_sim::{Hosted, Sim, SimGeometry};

use crate::{Archipelago, Subject};

/// Bytes of a heap that holds one object, beside the object's pages.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// The heap's own static.
    pub heap: usize,
    /// Ready bytes by purpose, without the purposes that serve objects.
    pub by_purpose: Vec<(Purpose, usize)>,
}

impl Metadata {
    /// The sum of all bytes.
    #[must_use]
    pub fn total(&self) -> usize {
        let committed: usize = self.by_purpose.iter().map(|(_, bytes)| bytes).sum();
        self.heap + committed
    }
}

/// The metadata of a heap of the shape `G` after its first allocation. The host's pointers are
/// counted as they are, which is more than a heap with 32-bit addresses needs.
#[must_use]
pub fn metadata<G: SimGeometry>() -> Metadata {
    let mut heap = Archipelago::<G>::with_memory(G::GEOMETRY.arena_bytes());
    heap.allocate(Layout::new::<u64>()).expect("memory");
    let stats = heap.stats();
    let serves_objects = [Purpose::Objects, Purpose::Free, Purpose::Reserve];
    Metadata {
        heap: size_of::<Heap<Sim<G>, Hosted>>(),
        by_purpose: Purpose::ALL
            .into_iter()
            .filter(|purpose| !serves_objects.contains(purpose))
            .map(|purpose| (*purpose, stats.of(*purpose)))
            .collect(),
    }
}
