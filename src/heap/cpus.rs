//! Requests that the spans of a CPU serve, without a lock, and the way there.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::blocks::Cpus;
use super::misuse::Misuse;
use super::object_heap::Heap;
use super::records::record_kind;
use crate::arena::SpanHandle;
use crate::pageheap::{Online, Want};
use crate::region::{Cause, Purpose};
use crate::span::{
    CpuBlock, Emptied, Kind, Owner, Place, RemoteFree, SizeClass, SpanClass, SpanRef,
};

/// The blocks take no more than one byte in so many of the heap's windows.
const SHARE: usize = 256;

impl<M: Machine, K: Kernel> Cpus<'_, M, K> {
    /// Allocates a slot of the CPU's, if its current word has one.
    #[inline(always)]
    pub(crate) fn alloc_at_once(self, layout: Layout) -> Option<(NonNull<u8>, Place)> {
        if !Heap::<M, K>::HAS_CPUS {
            return None;
        }
        let place = Heap::<M, K>::PLACES.place_of(layout);
        Some((self.enter()?.take(place)?, place))
    }

    /// Frees an object that lies in a span of the CPU's; `false`, and nothing is changed, if it
    /// does not, or is not one.
    ///
    /// # Safety
    /// As for [`try_deallocate`](Self::try_deallocate).
    #[inline(always)]
    pub(crate) unsafe fn free_at_once(self, pointer: NonNull<u8>, layout: Layout) -> bool {
        if !Heap::<M, K>::HAS_CPUS {
            return false;
        }
        let Some(online) = self.heap.pages.online() else {
            return false;
        };
        let Some(address) = online.machine.address(pointer) else {
            return false;
        };
        let place = Heap::<M, K>::PLACES.place_of(layout);
        let Some(handle) = self.heap.pages.index().span_of(address) else {
            return false;
        };
        let Some(entered) = self.enter() else {
            return false;
        };
        let records = online.records();
        let span = records.get(handle);
        if span.record.tag() != entered.tag(place) || !place.is_some() {
            return false;
        }
        let Some(offset) = address.bytes_above(span.record.first().address::<M>()) else {
            return false;
        };
        // SAFETY: the caller's promise is the same.
        match unsafe { entered.free(records, (handle, span), place, offset) } {
            Ok(None) => true,
            Ok(Some(emptied)) => {
                drop(entered);
                self.retire_emptied(online, emptied);
                true
            }
            Err(()) => false,
        }
    }

    /// Allocates a slot of `class`, which has a place, for a request that its CPU could not serve
    /// at once: of another span of the CPU's, of a central one, which becomes the CPU's, or of a
    /// new one. `None` if the block is in use, or there is none.
    ///
    /// # Errors
    /// The step that refused a new span.
    #[cold]
    #[inline(never)]
    pub(super) fn alloc_owned(
        self,
        online: &Online<M>,
        class: SizeClass,
        flags: AllocFlags,
    ) -> Option<Result<NonNull<[u8]>, Cause>> {
        let place = Place::of(Heap::<M, K>::TABLE, class);
        if !place.is_some() {
            return None;
        }
        let records = online.records();
        let entered = self.enter()?;
        let mut taken = entered.take_more(records, place);
        if taken.is_none() {
            let span_class = SpanClass::noscan(class);
            // Under the lock until the span is the CPU's: who frees an object of a span that is
            // nobody's retires it if that was the last.
            let mut lists = self.heap.central.lock();
            if let Some(handle) = lists.take_span(records, span_class) {
                entered.own(records, handle, place);
                taken = entered.take(place);
            }
        }
        drop(entered);
        if let Some(start) = taken {
            return Some(Ok(Self::cleared(start, class, flags)));
        }
        match self.make_owned(online, class, place, flags) {
            Ok(start) => Some(Ok(Self::cleared(start?, class, flags))),
            Err(cause) => Some(Err(cause)),
        }
    }

    /// The memory of a slot, cleared if `flags` ask for zeroes.
    #[inline(always)]
    pub(super) fn cleared(
        start: NonNull<u8>,
        class: SizeClass,
        flags: AllocFlags,
    ) -> NonNull<[u8]> {
        let bytes = Heap::<M, K>::TABLE.size(class);
        if flags.contains(AllocFlags::ZEROED) {
            // SAFETY: the slot is the caller's, and has so many bytes.
            unsafe { start.write_bytes(0, bytes) };
        }
        NonNull::slice_from_raw_parts(start, bytes)
    }

    /// Makes a new span of `class` the CPU's and takes its first slot; `None` if the block has come
    /// into use meanwhile, and the span is on its central list.
    ///
    /// # Errors
    /// The step that refused.
    fn make_owned(
        self,
        online: &Online<M>,
        class: SizeClass,
        place: Place,
        flags: AllocFlags,
    ) -> Result<Option<NonNull<u8>>, Cause> {
        let slots = Heap::<M, K>::TABLE.slots(class);
        let want = Want::pages(Heap::<M, K>::TABLE.pages(class));
        let (handle, ready) =
            self.heap
                .alloc_run(online, record_kind::<M, K>(slots), want, flags)?;
        let records = online.records();
        let record = records.get(handle).record;
        let free_slots = u16::try_from(slots).unwrap_or(u16::MAX);
        let mut lists = self.heap.central.lock();
        let run = ready.record();
        record.describe(Kind::Small(class.number()), run, free_slots, false);
        lists.count_span::<M>(record);
        self.heap.pages.index().set(run, Some(handle));
        match self.enter() {
            Some(entered) => {
                entered.own(records, handle, place);
                Ok(entered.take(place))
            }
            None => {
                lists.put_span(records, SpanClass::noscan(class), handle);
                Ok(None)
            }
        }
    }

    /// Makes the blocks of the kernel's CPUs, if there are none and the windows are large enough
    /// for them: for a request that has to grow the heap anyway.
    #[cold]
    pub(super) fn make_blocks(self, online: &Online<M>, flags: AllocFlags) -> Option<()> {
        let is_there = !self.heap.central.blocks.load(Ordering::Relaxed).is_null();
        if !Heap::<M, K>::HAS_CPUS || is_there || flags.contains(AllocFlags::NO_GROW) {
            return None;
        }
        let count = usize::from(K::CPUS);
        let ledger = self.heap.pages.ledger();
        let windows = ledger.mapped_ready() + ledger.prepared() + ledger.reserved();
        if windows / SHARE < count * size_of::<CpuBlock>() {
            return None;
        }
        let lists = self.heap.central.lock();
        if self.heap.pages.has_blocks() {
            return None;
        }
        self.heap.pages.set_blocks(true);
        drop(lists);
        let memory =
            self.heap
                .pages
                .take_metadata::<CpuBlock>(online, self.heap, Purpose::Spans, count);
        let Ok(memory) = memory else {
            self.heap.pages.set_blocks(false);
            return None;
        };
        let blocks = memory.into_slice();
        for (number, block) in (0..K::CPUS).zip(blocks) {
            block.set_up(Owner::new(number), Heap::<M, K>::TABLE);
        }
        self.heap
            .central
            .blocks
            .store(blocks.as_ptr().cast_mut(), Ordering::Release);
        Some(())
    }

    /// Frees `slot` of a span that a CPU owns. The caller holds the central lock.
    ///
    /// # Errors
    /// The slot was freed before, and its owner has not taken it back.
    /// # Safety
    /// The slot is the caller's.
    pub(super) unsafe fn free_owned(
        self,
        online: &Online<M>,
        (handle, span): (SpanHandle, SpanRef<'_>),
        (class, slot): (SizeClass, usize),
    ) -> Result<Option<Emptied>, Misuse> {
        let (records, tag) = (online.records(), span.record.tag());
        let Some(owner) = tag.owner().and_then(|owner| self.block_of(owner.number())) else {
            return Err(Misuse::Damaged);
        };
        let slots = Heap::<M, K>::TABLE.slots(class);
        if !span.is_live(slot, slots) {
            return Err(Misuse::DoubleFree);
        }
        if let Some(entered) = self.enter().filter(|entered| entered.is_of(owner)) {
            let offset = slot * Heap::<M, K>::TABLE.size(class);
            let place = Place::numbered(tag.place());
            // SAFETY: the slot is the caller's.
            let freed = unsafe { entered.free(records, (handle, span), place, offset) };
            return freed.map_err(|()| Misuse::DoubleFree);
        }
        // SAFETY: the slot is the caller's, and the tag is of that block.
        match unsafe { owner.free_remotely(records, span, slot, slots) } {
            RemoteFree::Done => Ok(None),
            RemoteFree::Double => Err(Misuse::DoubleFree),
        }
    }
}
