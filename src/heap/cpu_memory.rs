//! Memory for the blocks of CPUs, and for the map of their spans.

use core::sync::atomic::Ordering;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::blocks::Cpus;
use super::object_heap::Heap;
use crate::base::PageRun;
use crate::pageheap::Online;
use crate::region::{Cause, Purpose};
use crate::span::{CpuBlock, MapEntry, Owner, SpanMap};

/// The blocks take no more than one byte in so many of the heap's windows.
const SHARE: usize = 256;
/// The map has entries for no more than so many times the memory of the heap, beyond its first
/// page.
const MOST_TO_MEMORY: usize = 4;

impl<M: Machine, K: Kernel> Cpus<'_, M, K> {
    /// Makes the blocks of the kernel's CPUs, if there are none and the windows are large enough
    /// for them: for a request that has to grow the heap anyway.
    #[cold]
    pub(super) fn make_blocks(self, online: &Online<M>, flags: AllocFlags) -> Option<()> {
        let is_there = !self.heap.central.blocks.load(Ordering::Relaxed).is_null();
        if !Heap::<M, K>::HAS_CPUS || is_there || flags.contains(AllocFlags::NO_GROW) {
            return None;
        }
        let count = usize::from(K::CPUS);
        let pages = &self.heap.pages;
        let ledger = pages.ledger();
        let windows = ledger.mapped_ready() + ledger.prepared() + ledger.reserved();
        if windows / SHARE < count * size_of::<CpuBlock>() {
            return None;
        }
        let lists = self.heap.central.lock();
        if pages.has_blocks() {
            return None;
        }
        pages.set_blocks(true);
        drop(lists);
        let memory = pages.take_metadata::<CpuBlock>(online, self.heap, Purpose::Spans, count);
        let Ok(memory) = memory else {
            pages.set_blocks(false);
            return None;
        };
        let map = self.make_map(online).ok();
        let blocks = memory.into_slice();
        for (number, block) in (0..K::CPUS).zip(blocks) {
            block.set_up(Owner::new(number), Heap::<M, K>::TABLE, map);
        }
        let first = blocks.as_ptr().cast_mut();
        self.heap.central.blocks.store(first, Ordering::Release);
        Some(())
    }

    /// Makes the map of spans, without entries.
    ///
    /// # Errors
    /// There is too little address space or memory; frees by owners then go through the index.
    fn make_map(self, online: &Online<M>) -> Result<&'static SpanMap, Cause> {
        let pages = &self.heap.pages;
        let space = pages.take_array_space::<MapEntry>(online)?;
        let memory = pages.take_metadata::<SpanMap>(online, self.heap, Purpose::Spans, 1)?;
        let map = memory.into_entry();
        map.set_up(space.first.address::<M>(), space.entries, space.most);
        Ok(map)
    }

    /// Makes the entries of the map Ready up to `run`, if they are not and memory allows it.
    #[inline]
    pub(super) fn extend_map(self, online: &Online<M>, run: PageRun, flags: AllocFlags) {
        if flags.contains(AllocFlags::NO_GROW) {
            return;
        }
        let Some(map) = self.map() else {
            return;
        };
        while let Some((next, lacks)) = map.lacks::<M>(run) {
            if !self.extend_once(online, map, (next, lacks)) {
                return;
            }
        }
    }

    #[cold]
    fn extend_once(
        self,
        online: &Online<M>,
        map: &SpanMap,
        (next, lacks): (core::ptr::NonNull<MapEntry>, usize),
    ) -> bool {
        let pages = &self.heap.pages;
        let all = (map.bytes() / size_of::<MapEntry>()).saturating_add(lacks);
        let memory = pages.ledger().mapped_ready() / M::GEOMETRY.page_bytes();
        let in_page = M::GEOMETRY.page_bytes() / size_of::<MapEntry>();
        if all > in_page && all / MOST_TO_MEMORY > memory {
            return false;
        }
        let is_next = || map.next() == Some(next);
        // SAFETY:
        // - the map's entries lie in the space of an array, and are made Ready by whole pages;
        // - those from the next on are not Ready, and become so in the gate alone.
        let extended = unsafe {
            pages.extend_array(online, Purpose::Spans, next, is_next, |memory| {
                map.extend(memory);
            })
        };
        extended.is_ok()
    }
}
