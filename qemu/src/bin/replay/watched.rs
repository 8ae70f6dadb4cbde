//! The kernel's global allocator as a target, watched: whenever it has taken or returned frames,
//! its account is checked.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{AllocError, AllocFlags};
use archipelago_qemu::{Imbalance, KernelHeap, Plain, Running};
use archipelago_traces::replay::Target;

use crate::HEAP;

/// The heap, and observations of it.
pub(crate) struct Watched<'a> {
    running: &'a Running,
    heap: Plain<'a, KernelHeap>,
    frames: u64,
    pub(crate) peak_frames: u64,
    pub(crate) peak_ready_bytes: usize,
    /// How often the account was checked.
    pub(crate) checks: u64,
    /// The first time that it was wrong.
    pub(crate) imbalance: Option<Imbalance>,
    /// Why the first request was refused, if one was.
    pub(crate) refusal: Option<AllocError>,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(running: &'a Running) -> Self {
        Self {
            running,
            heap: Plain(&HEAP),
            frames: 0,
            peak_frames: 0,
            peak_ready_bytes: 0,
            checks: 0,
            imbalance: None,
            refusal: None,
        }
    }

    /// Frames that the heap has.
    pub(crate) fn frames(&self) -> u64 {
        self.running.heap_frames()
    }

    /// Asks why a request was refused, which the global allocator's caller never hears.
    #[cold]
    fn ask_why(&mut self, layout: Layout) {
        match HEAP.allocate(layout, AllocFlags::empty()) {
            Err(error) => _ = self.refusal.get_or_insert(error),
            // SAFETY: the block was allocated just now, with this layout.
            Ok(block) => unsafe { HEAP.deallocate(block.cast(), layout) },
        }
    }

    /// Follows every request.
    fn look(&mut self) {
        let frames = self.frames();
        if frames == self.frames {
            return;
        }
        self.frames = frames;
        self.peak_frames = self.peak_frames.max(frames);
        self.peak_ready_bytes = self.peak_ready_bytes.max(HEAP.stats().mapped_ready);
        self.checks += 1;
        self.imbalance = self.imbalance.or(self.running.balance().err());
    }
}

// SAFETY: every call is the heap's own.
unsafe impl Target for Watched<'_> {
    fn allocate(&mut self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        let block = self.heap.allocate(layout, zeroed);
        if block.is_none() && self.refusal.is_none() {
            self.ask_why(layout);
        }
        self.look();
        block
    }

    unsafe fn reallocate(
        &mut self,
        pointer: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller makes the promises that the heap asks for.
        let block = unsafe { self.heap.reallocate(pointer, layout, new_size) };
        self.look();
        block
    }

    unsafe fn deallocate(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller makes the promises that the heap asks for.
        unsafe { self.heap.deallocate(pointer, layout) };
        self.look();
    }
}
