//! Kernels that preempt threads: a thread loses its CPU inside the mapper, at the gate, and after
//! every lock, to a thread that then uses the heap.

mod ready_made;
mod scheduler;
mod strict;

use archipelago::{AllocFlags, Heap, Kernel, Machine};
use archipelago_testing::layout;

/// Allocates and frees a small and a large object, and gives memory back, so that the machine is
/// called.
fn use_heap<M: Machine, K: Kernel>(heap: &Heap<M, K>, round: usize) {
    for bytes in [24 + round, (33 << 10) * (1 + round % 7)] {
        let layout = layout(bytes, 8);
        let memory = heap.allocate(layout, AllocFlags::empty());
        let memory = memory.expect("memory").cast();
        // SAFETY: it was allocated above with this layout and is not used any more.
        unsafe { heap.deallocate(memory, layout) };
    }
    heap.scavenge(usize::MAX).expect("it waits");
}
