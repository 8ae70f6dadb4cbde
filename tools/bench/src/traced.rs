//! The memory of the heap bitmap on the recorded traces, with objects from some size on full of
//! pointers.

use core::alloc::Layout;
use core::num::NonZeroU64;
use core::ptr::NonNull;

use archipelago::bits::{Description, PointerMap};
use archipelago::{AllocFlags, Purpose, Stats};
use archipelago_api::Machine;
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::Rig;
use archipelago_traces::replay::Target;

use crate::replays::{on_trace, roomy};

/// Bytes of the heap bitmap when most pages are in spans, and of the pages that there are then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BitmapPeak {
    /// Bytes of the bitmap that covers scannable spans.
    pub bitmap: usize,
    /// Bytes of pages that have memory, free ones among them.
    pub ready: usize,
    /// Bytes of pages in spans.
    pub in_spans: usize,
}

impl BitmapPeak {
    fn of(stats: &Stats) -> Self {
        let pages = [Purpose::Objects, Purpose::Free, Purpose::Reserve];
        Self {
            bitmap: stats.of(Purpose::HeapBits),
            ready: pages.map(|purpose| stats.of(purpose)).iter().sum(),
            in_spans: stats.of(Purpose::Objects),
        }
    }

    /// The share of the bitmap, of `bytes` bytes.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of megabytes is no more exact than a double"
    )]
    pub fn share_of(&self, bytes: usize) -> f64 {
        self.bitmap as f64 / bytes as f64
    }

    /// The moment at which more pages are in spans; of two equal ones, the worse for the bitmap.
    fn larger(self, other: Self) -> Self {
        let weight = |one: &Self| (one.in_spans, one.bitmap, usize::MAX - one.ready);
        if weight(&other) > weight(&self) {
            other
        } else {
            self
        }
    }
}

/// A heap whose objects of `least` bytes and more are full of pointers.
struct Scannable<G: SimGeometry> {
    rig: Rig<G>,
    least: usize,
}

impl<G: SimGeometry> Scannable<G> {
    fn description(&self, layout: Layout) -> Description<'static> {
        const ELEMENT: &PointerMap<'_> = &PointerMap::from_mask(1, 1);
        let words = layout.size() / Sim::<G>::WORD_BYTES;
        let count = if layout.size() < self.least { 0 } else { words };
        Description::array(ELEMENT, count)
    }
}

// SAFETY: the heap keeps the contract of a target.
unsafe impl<G: SimGeometry> Target for Scannable<G> {
    fn allocate(&mut self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        let object = self.description(layout);
        let mut flags = AllocFlags::empty();
        flags.set(AllocFlags::ZEROED, zeroed);
        let memory = self.rig.heap.allocate_scannable(layout, &object, flags);
        memory.ok().map(NonNull::cast)
    }

    unsafe fn reallocate(
        &mut self,
        pointer: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let new = Layout::from_size_align(new_size, layout.align()).ok()?;
        let (object, flags) = (self.description(new), AllocFlags::empty());
        let heap = &self.rig.heap;
        // SAFETY: the caller passes a live block of this heap with its layout.
        let memory = unsafe { heap.reallocate_scannable(pointer, layout, new, &object, flags) };
        memory.ok().map(NonNull::cast)
    }

    unsafe fn deallocate(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller passes a live block of this heap with its layout.
        unsafe { self.rig.heap.deallocate(pointer, layout) };
    }
}

/// Replays the trace `name` of `tools/traces/recorded` on a heap of the shape `G`, with every
/// object of `least` bytes and more full of pointers, and returns the bitmap's memory when most
/// pages were in spans.
///
/// # Panics
/// If there is no such trace, or the heap is not sound afterwards.
#[must_use]
pub fn bitmap_peak<G: SimGeometry>(name: &str, least: usize) -> BitmapPeak {
    let mut target = Scannable {
        rig: roomy::<G>(),
        least,
    };
    let mut peak = BitmapPeak::default();
    on_trace(name, NonZeroU64::new(1), &mut target, |_, _, target| {
        peak = peak.larger(BitmapPeak::of(&target.rig.heap.stats()));
    });
    target.rig.check();
    target.rig.verify();
    peak
}
