//! Counting the instructions of a replay that touches no block.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use archipelago_qemu::{Plain, count_instructions, instructions, println};
use archipelago_traces::replay::{Mode, Replay, Target, replay};

use crate::{Context, WORKSPACE};

/// An allocator that is not called any more once so many instructions have been carried out: a free
/// list can take hours over a trace.
struct Limited<'a, A> {
    inner: Plain<'a, A>,
    calls: u32,
    end: u64,
    is_over: bool,
}

impl<A> Limited<'_, A> {
    /// Instructions that a replay may take.
    const MOST: u64 = 5_000_000_000;
    /// Calls from one look at the counter to the next.
    const STRIDE: u32 = 64;

    #[inline]
    fn is_over(&mut self) -> bool {
        self.calls += 1;
        if self.calls % Self::STRIDE == 0 {
            self.is_over |= instructions() > self.end;
        }
        self.is_over
    }
}

// SAFETY: every call is the allocator's own, until none is made any more.
unsafe impl<A: GlobalAlloc> Target for Limited<'_, A> {
    #[inline]
    fn allocate(&mut self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        if self.is_over() {
            return None;
        }
        self.inner.allocate(layout, zeroed)
    }

    #[inline]
    unsafe fn reallocate(
        &mut self,
        pointer: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        if self.is_over() {
            return None;
        }
        // SAFETY: the caller makes the promises that the allocator asks for.
        unsafe { self.inner.reallocate(pointer, layout, new_size) }
    }

    #[inline]
    unsafe fn deallocate(&mut self, pointer: NonNull<u8>, layout: Layout) {
        if !self.is_over() {
            // SAFETY: the caller makes the promises that the allocator asks for.
            unsafe { self.inner.deallocate(pointer, layout) };
        }
    }
}

/// Prints how many instructions a replay takes, as far as that is known.
pub(crate) fn report(context: &mut Context, name: &str, allocator: &impl GlobalAlloc, mode: Mode) {
    println!("# counting instructions: {name}");
    let mut workspace = WORKSPACE.lock();
    let run = Replay {
        file: context.file,
        workspace: &mut workspace,
        table: context.table,
        mode,
        peak_live_bytes: u64::MAX,
        every: None,
    };
    let mut target = Limited {
        inner: Plain(allocator),
        calls: 0,
        end: instructions() + Limited::<()>::MOST,
        is_over: false,
    };
    let (count, outcome) = count_instructions(|| replay(run, &mut target, |_, _, _| ()));
    let progress = outcome.unwrap_or_else(|error| panic!("{error}"));
    if target.is_over {
        println!("figure instructions_{name} >{count}");
    } else if progress.failures == 0 {
        println!("figure instructions_{name} {count}");
    } else {
        println!("# {name} runs out of memory");
    }
}
