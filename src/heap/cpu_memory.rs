//! Memory for the blocks of CPUs, and for the map of their spans.

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use archipelago_api::{AllocFlags, CpuId, Fault, HeapKey, Kernel, Machine, Report};

use super::blocks::Cpus;
use super::object_heap::Heap;
use crate::base::PageRun;
use crate::pageheap::Online;
use crate::region::{Cause, Purpose};
use crate::span::{BlockPlace, CpuBlock, MapEntry, Owner, SpanMap};

/// The blocks take no more than one byte in so many of the heap's windows.
const SHARE: usize = 256;
/// The map has entries for no more than so many times the memory of the heap, beyond its first
/// page.
const MOST_TO_MEMORY: usize = 4;

impl<M: Machine, K: Kernel> Cpus<'_, M, K> {
    /// Makes the block of this CPU, if there is none and the windows are large enough for it: for a
    /// request that has to grow the heap anyway. Stops the machine if the kernel declared fewer
    /// CPUs.
    #[cold]
    pub(super) fn make_block(self, online: &Online<M>, flags: AllocFlags) -> Option<()> {
        let number = u16::try_from(Self::this_cpu()).ok()?;
        if number >= K::CPUS {
            if number != CpuId::SHARED.0 {
                stop_undeclared::<K>(number);
            }
            return None;
        }
        if self.block_of(usize::from(number)).is_some() || flags.contains(AllocFlags::NO_GROW) {
            return None;
        }
        let pages = &self.heap.pages;
        let ledger = pages.ledger();
        let windows = ledger.mapped_ready() + ledger.prepared() + ledger.reserved();
        if windows / SHARE < (self.all().count() + 1) * size_of::<CpuBlock>() {
            return None;
        }
        let lists = self.heap.central.lock();
        if pages.makes_block() {
            return None;
        }
        pages.set_makes_block(true);
        drop(lists);
        let made = self.make_block_of(online, number);
        // The central lock orders the end after the beginning of another CPU's.
        let _lists = self.heap.central.lock();
        pages.set_makes_block(false);
        made.ok()
    }

    /// Makes the block of CPU `number`, which nobody else does meanwhile.
    ///
    /// # Errors
    /// Why there is no memory. The table of blocks may have been made.
    fn make_block_of(self, online: &Online<M>, number: u16) -> Result<(), Cause> {
        let pages = &self.heap.pages;
        let blocks = &self.heap.central.blocks;
        if K::CPUS > 1 && blocks.first.load(Ordering::Relaxed).is_null() {
            let count = usize::from(K::CPUS);
            let table =
                pages.take_metadata::<BlockPlace>(online, self.heap, Purpose::Spans, count)?;
            let first = table.into_slice().as_ptr().cast_mut().cast();
            blocks.first.store(first, Ordering::Release);
            blocks.set_key(HeapKey::next());
        }
        let memory = pages.take_metadata::<CpuBlock>(online, self.heap, Purpose::Spans, 1)?;
        let block = memory.into_entry();
        let map = match self.all().next() {
            Some(other) => other.map(),
            None => self.make_map(online).ok(),
        };
        block.set_up(Owner::new(number), Heap::<M, K>::TABLE, map);
        if K::CPUS == 1 {
            let block = core::ptr::from_ref(block).cast_mut();
            blocks.first.store(block.cast(), Ordering::Release);
        } else {
            let first = NonNull::new(blocks.first.load(Ordering::Acquire));
            let place = first.and_then(|first| Self::place_in(first, usize::from(number)));
            if let Some(place) = place {
                place.publish(block);
            }
        }
        Ok(())
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
        let Some(map) = self.block().and_then(CpuBlock::map) else {
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
        (next, lacks): (NonNull<MapEntry>, usize),
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

/// Stops the machine: a CPU has a number that the kernel did not declare.
#[cold]
fn stop_undeclared<K: Kernel>(number: u16) -> ! {
    K::stop(&Report {
        fault: Fault::UndeclaredCpu {
            cpu: CpuId(number),
            declared: K::CPUS,
        },
        address: None,
        layout: None,
        span: None,
    })
}
