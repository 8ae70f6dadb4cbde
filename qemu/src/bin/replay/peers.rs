//! The same for other allocators, each in the same block of memory.

use archipelago_qemu::{FRAME_BYTES, println};
use archipelago_workload::replay::Mode;
use linked_list_allocator::LockedHeap;
use talc::TalcLock;
use talc::source::Manual;

use crate::Context;
use crate::measure::report;

/// A free list, which most kernels start with.
static LINKED_LIST: LockedHeap = LockedHeap::empty();
/// Bins of free blocks.
static TALC: TalcLock<spin::Mutex<()>, Manual> = TalcLock::new(Manual);

pub(crate) fn run(context: &mut Context) {
    let live = usize::try_from(context.summary.peak_live_bytes).expect("it fits this machine");
    // The trace's own bytes again for what the allocators waste.
    let bytes = (2 * live + (1 << 20)).next_multiple_of(FRAME_BYTES);
    let Some(block) = context.running.carve(bytes, 0_u8) else {
        println!("# no {bytes} bytes in a row for other allocators");
        return;
    };
    let start = block.as_mut_ptr();
    // SAFETY: the block is mapped for ever, and nobody else's until the list is not called any
    // more.
    let claimed = unsafe { TALC.lock().claim(start, bytes) };
    assert!(claimed.is_some(), "talc takes the block");
    report(context, "talc", &TALC, Mode::Bare);
    // SAFETY: the block is mapped for ever; the other allocator is not called any more, nor is what
    // it gave out used.
    unsafe { LINKED_LIST.lock().init(start, bytes) };
    report(context, "linked_list_allocator", &LINKED_LIST, Mode::Bare);
}
