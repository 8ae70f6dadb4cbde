//! Instructions of a replay that touches no block: of the heap, of reading the trace alone, and of
//! other allocators in one block of memory.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use archipelago_qemu::{FRAME_BYTES, instructions};
use archipelago_workload::replay::{Mode, Replay, Target, replay};
use linked_list_allocator::LockedHeap;
use talc::TalcLock;
use talc::source::Manual;

use crate::{Context, MEASURED, MEASURED_WINDOW, WORKSPACE, figure};

/// An allocator, called as the compiler calls a `#[global_allocator]`.
pub(crate) struct Plain<'a, A>(pub(crate) &'a A);

// SAFETY: every call is the allocator's own.
unsafe impl<A: GlobalAlloc> Target for Plain<'_, A> {
    #[inline]
    fn allocate(&mut self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        let block = if zeroed {
            // SAFETY: the size is never 0.
            unsafe { self.0.alloc_zeroed(layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.0.alloc(layout) }
        };
        NonNull::new(block)
    }

    #[inline]
    unsafe fn reallocate(
        &mut self,
        pointer: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise is the same.
        NonNull::new(unsafe { self.0.realloc(pointer.as_ptr(), layout, new_size) })
    }

    #[inline]
    unsafe fn deallocate(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.dealloc(pointer.as_ptr(), layout) };
    }
}

/// A free list in one block of memory, as most kernels have it.
static LINKED_LIST: LockedHeap = LockedHeap::empty();
/// The quickest of the heaps in one block of memory.
static TALC: TalcLock<spin::Mutex<()>, Manual> = TalcLock::new(Manual);

/// Counts the heap's instructions, and other allocators' if they are asked for.
pub(crate) fn run(context: &mut Context) {
    let measured = context.running.beside(&MEASURED, &[MEASURED_WINDOW]);
    let reading = count(context, &MEASURED, Mode::Null);
    figure(
        "instructions_reading",
        reading.expect("nothing is asked for"),
    );
    report(context, "archipelago", &MEASURED);
    measured.check();
    if context.is_asked_for("peers") {
        peers(context);
    }
}

fn peers(context: &mut Context) {
    let live = usize::try_from(context.summary.peak_live_bytes).expect("it fits this machine");
    // The trace's own bytes again for what the others waste, in whole frames.
    let bytes = (2 * live + (1 << 20)).next_multiple_of(FRAME_BYTES);
    let Some(block) = context.running.carve(bytes, 0_u8) else {
        archipelago_qemu::println!("# no {bytes} bytes in a row for other allocators");
        return;
    };
    let start = block.as_mut_ptr();
    // SAFETY: the block is mapped for ever, and nobody else's until the allocator is done with.
    unsafe { LINKED_LIST.lock().init(start, bytes) };
    report(context, "linked_list_allocator", &LINKED_LIST);
    // SAFETY: the block is mapped for ever; the replay freed all that the other allocator gave out,
    // and it is not called again.
    let claimed = unsafe { TALC.lock().claim(start, bytes) };
    assert!(claimed.is_some(), "talc takes the block");
    report(context, "talc", &TALC);
}

fn report(context: &mut Context, name: &str, allocator: &impl GlobalAlloc) {
    match count(context, allocator, Mode::Bare) {
        Some(instructions) => figure_of(name, instructions),
        None => archipelago_qemu::println!("# {name} runs out of memory"),
    }
}

fn figure_of(name: &str, instructions: u64) {
    archipelago_qemu::println!("figure instructions_{name} {instructions}");
}

/// Instructions of a replay, or `None` if a request failed.
fn count(context: &mut Context, allocator: &impl GlobalAlloc, mode: Mode) -> Option<u64> {
    let mut workspace = WORKSPACE.lock();
    let run = Replay {
        file: context.file,
        workspace: &mut workspace,
        table: context.table,
        mode,
        peak_live_bytes: u64::MAX,
        every: None,
    };
    let before = instructions();
    let outcome = replay(run, &mut Plain(allocator), |_, _, _| ());
    let after = instructions();
    let progress = outcome.unwrap_or_else(|error| panic!("{error}"));
    (progress.failures == 0).then_some(after - before)
}
