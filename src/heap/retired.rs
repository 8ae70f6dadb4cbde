//! Pages of spans that were retired.

use archipelago_api::{Kernel, Machine};

use super::object_heap::Heap;
use crate::base::PageRun;
use crate::pageheap::ReadyRun;
use crate::span::{RetiredRun, Scan};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Frees the pages of a span that was retired. The caller holds the central lock.
    #[inline(always)]
    pub(super) fn free_retired(&self, scan: Scan, retired: RetiredRun) {
        // SAFETY: the span's record was retired, and the token that says so is used up here.
        unsafe { self.free_unrecorded(scan, retired.run()) };
    }

    /// Frees pages of a span, with their bitmap and their entries in the index. The caller holds
    /// the central lock.
    ///
    /// # Safety
    /// The pages are those of a span, whose record does not name them any more, and nothing uses
    /// their memory.
    #[inline(never)]
    pub(super) unsafe fn free_unrecorded(&self, scan: Scan, run: PageRun) {
        // SAFETY: the caller promises that nothing uses the memory, so no object is in it.
        unsafe { self.pages.release_bits(scan, run) };
        self.pages.index().set(run, None);
        // SAFETY: `assume` needs, by the caller's promise:
        // 1. the pages taken, Ready and charged to objects: those of a span are;
        // 2. no other record, and no use.
        let run = unsafe { ReadyRun::assume(run) };
        self.pages.free(run);
    }
}
