//! Empty spans and empty pages of records, which the heap keeps back from the page heap until it
//! asks for them.

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::object_heap::Heap;
use crate::base::PageRun;
use crate::pageheap::{Online, ReadyRun, Reclaim};
use crate::span::{RetiredRun, Scan};

impl<M: Machine, K: Kernel> Reclaim<M> for Heap<M, K> {
    /// Retires every empty span, and frees every page of records that is empty.
    fn reclaim(&self, online: &Online<M>) {
        if Self::HAS_CPUS {
            self.reclaim_kept(online);
        }
        loop {
            // Freed under the central lock, as everywhere: until its entry is gone, the index names
            // a record that is in the pool.
            let mut lists = self.central.lock();
            match lists.reclaim(online.records()) {
                Some((scan, retired)) => self.free_retired(scan, retired),
                None => break,
            }
        }
        self.reclaim_record_pages(online);
    }

    /// Fills up the reserve that handlers have taken from, unless that is what the steps are for.
    fn between_steps(&self, online: &Online<M>) {
        if !self.pages.reserve_is_filling() {
            self.refill_if_low(online, AllocFlags::empty());
        }
    }
}

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
