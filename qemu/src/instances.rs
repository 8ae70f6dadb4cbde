//! Compiles the heap of the kernels in this library, once for all of them.
//!
//! The heap is generic over its machine, so a kernel compiles every method that it calls, unless a
//! crate below it has compiled that method for the same types. The function here names the methods
//! that kernels call.

use core::alloc::{GlobalAlloc, Layout};

use archipelago::AllocFlags;
use archipelago_api::context::{Context, Handlers, Ordinary};

use crate::boot::Boot;
use crate::heap::{KernelHeap, start_heap};
use crate::target::Churn;

/// Calls every method that kernels call of a heap whose requests have the flags of `C`. No kernel
/// calls this function.
fn instantiate<C: Context>(boot: Boot, heap: &'static KernelHeap<C>) {
    let layout = Layout::new::<u64>();
    let longer = Layout::new::<[u64; 2]>();
    // SAFETY: the layout is not empty.
    let block = unsafe { heap.alloc_zeroed(layout) };
    if !block.is_null() {
        // SAFETY:
        // - The block was allocated with this layout.
        // - The new size is neither zero nor too large.
        let moved = unsafe { heap.realloc(block, layout, longer.size()) };
        let (block, layout) = if moved.is_null() {
            (block, layout)
        } else {
            (moved, longer)
        };
        // SAFETY: the block is live and has this layout.
        unsafe { heap.dealloc(block, layout) };
    }
    let _: Result<_, _> = heap.allocate(layout, AllocFlags::empty());
    if let Ok(memory) = heap.allocate(layout, AllocFlags::empty()) {
        let flags = AllocFlags::empty();
        // SAFETY: the object was allocated just now with this layout.
        let resized = unsafe { heap.try_reallocate(memory.cast(), layout, longer, flags) };
        let (memory, layout) = resized.map_or((memory, layout), |memory| (memory, longer));
        // SAFETY: the object has this layout, and nothing uses it.
        let _: Result<_, _> = unsafe { heap.try_deallocate(memory.cast(), layout) };
    }
    let _: Result<_, _> = heap.scavenge(1);
    let _: Result<_, _> = heap.set_reserve(1);
    if let Ok(mut run) = heap.pages().allocate(2, 1, AllocFlags::empty()) {
        let _: Result<_, _> = run.extend(1, AllocFlags::empty());
        run.shrink(1);
        let memory = run.leak();
        // SAFETY:
        // - the memory was leaked just now;
        // - nothing uses it.
        drop(unsafe { heap.pages().recover(memory) });
    }
    drop(heap.pages().allocate_adjacent(1, 1, AllocFlags::empty()));
    let _: archipelago::PageStats = heap.pages().stats();
    let mut churn = Churn::new(heap);
    churn.turn();
    churn.free_all();
    let running = start_heap(boot, heap, &[]);
    let _: archipelago::Stats = running.checked_stats();
    drop(running.beside(heap, &[]));
}

/// The heap of almost all kernels.
#[doc(hidden)]
pub fn ordinary(boot: Boot, heap: &'static KernelHeap<Ordinary>) {
    instantiate(boot, heap);
}

/// The heap of kernels that tell requests of interrupt handlers apart.
#[doc(hidden)]
pub fn handlers(boot: Boot, heap: &'static KernelHeap<Handlers>) {
    instantiate(boot, heap);
}
