//! Empty spans and empty pages of records, which the heap keeps back from the page heap until it
//! asks for them.

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::object_heap::Heap;
use crate::pageheap::{Online, Reclaim};

impl<M: Machine, K: Kernel> Reclaim<M> for Heap<M, K> {
    /// Retires every empty span of the central lists and of this CPU, and frees every page of
    /// records that is empty.
    fn reclaim(&self, online: &Online<M>) {
        if Self::HAS_CPUS {
            self.cpus().reclaim_all_kept(online);
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

    #[inline]
    fn reclaim_kept(&self, online: &Online<M>) -> bool {
        Self::HAS_CPUS && self.cpus().reclaim_kept(online)
    }

    /// Fills up the reserve that handlers have taken from, unless that is what the steps are for.
    fn between_steps(&self, online: &Online<M>) {
        if !self.pages.reserve_is_filling() {
            self.refill_if_low(online, AllocFlags::empty());
        }
    }
}
