//! Replays with other allocators, each in the same block of memory.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use archipelago_firmware::FirmwareHeap;
use archipelago_qemu::{FRAME_BYTES, SingleCpu, println};
use archipelago_traces::replay::Mode;
use linked_list_allocator::LockedHeap;
use rlsf::Tlsf;
use spin::Mutex;
use talc::TalcLock;
use talc::source::Manual;

use crate::Context;
use crate::count::report;

/// A free list, which most kernels start with.
static LINKED_LIST: LockedHeap = LockedHeap::empty();
/// Bins of free blocks.
static TALC: TalcLock<Mutex<()>, Manual> = TalcLock::new(Manual);
/// Two levels of bins, as many as its documentation proposes for a heap of this size.
static RLSF: Rlsf = Rlsf(Mutex::new(Tlsf::new()));

/// The largest block that a firmware heap is measured with: it looks through the map of its pages.
const FIRMWARE_BYTES: usize = 16 << 20;
/// The heap for parts on which the whole one is too large.
static FIRMWARE: FirmwareHeap<SingleCpu> = FirmwareHeap::empty();

/// `rlsf` under a lock of ours: the crate brings none for bare machines.
struct Rlsf(Mutex<Tlsf<'static, u32, u32, 28, 32>>);

fn or_null(block: Option<NonNull<u8>>) -> *mut u8 {
    block.map_or(ptr::null_mut(), NonNull::as_ptr)
}

// SAFETY: every call is the allocator's own, under its lock.
unsafe impl GlobalAlloc for Rlsf {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        or_null(self.0.lock().allocate(layout))
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller makes the promises of `GlobalAlloc`, on which the allocator's
            // rest.
            unsafe { self.0.lock().deallocate(pointer, layout.align()) };
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new = Layout::from_size_align(new_size, layout.align()).ok();
        let Some((pointer, new)) = NonNull::new(pointer).zip(new) else {
            return ptr::null_mut();
        };
        // SAFETY: the caller makes the promises of `GlobalAlloc`, on which the allocator's rest.
        or_null(unsafe { self.0.lock().reallocate(pointer, new) })
    }
}

pub(crate) fn run(context: &mut Context) {
    let live = usize::try_from(context.summary.peak_live_bytes).expect("it fits this machine");
    // Twice the trace's live bytes, as room for the memory that the allocators waste.
    let bytes = (2 * live + (1 << 20)).next_multiple_of(FRAME_BYTES);
    let Some(block) = context.running.carve(bytes, 0_u8) else {
        println!("# no {bytes} bytes in a row for other allocators");
        return;
    };
    let start = block.as_mut_ptr();
    // SAFETY:
    // - The block is always mapped.
    // - Until the next allocator gets it, only this one uses it.
    let claimed = unsafe { TALC.lock().claim(start, bytes) };
    assert!(claimed.is_some(), "talc takes the block");
    report(context, "talc", &TALC, Mode::Bare);
    // SAFETY:
    // - The block is always mapped.
    // - The allocator before is not called any more, and nothing uses its blocks.
    let again = unsafe { core::slice::from_raw_parts_mut(start.cast(), bytes) };
    RLSF.0.lock().insert_free_block(again);
    report(context, "rlsf", &RLSF, Mode::Bare);
    // SAFETY:
    // - The block is always mapped.
    // - The allocator before is not called any more, and nothing uses its blocks.
    unsafe { LINKED_LIST.lock().init(start, bytes) };
    report(context, "linked_list_allocator", &LINKED_LIST, Mode::Bare);
    if bytes > FIRMWARE_BYTES {
        return;
    }
    // SAFETY:
    // - The block is always mapped, and there is one CPU.
    // - The allocator before is not called any more, and nothing uses its blocks.
    let given = unsafe { FIRMWARE.init(start, bytes) };
    assert_eq!(given, Ok(()), "the firmware heap takes the block");
    report(context, "firmware", &FIRMWARE, Mode::Bare);
}
