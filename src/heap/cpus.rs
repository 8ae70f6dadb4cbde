//! Requests that the spans of a CPU serve, without a lock, and the way there.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine, VirtAddr};

use super::blocks::Cpus;
use super::misuse::Misuse;
use super::object_heap::Heap;
use super::records::record_kind;
use crate::arena::SpanHandle;
use crate::pageheap::{Online, Want};
use crate::region::Cause;
use crate::span::{
    CpuBlock, Emptied, Entered, Kind, MappedSpan, OwnFree, Place, Record, RecordKind, RemoteFree,
    SizeClass, SpanClass, SpanRef,
};

impl<M: Machine, K: Kernel> Cpus<'_, M, K> {
    /// Allocates a slot of the CPU's, if its current word has one.
    #[inline(always)]
    pub(crate) fn alloc_at_once(self, layout: Layout) -> Option<(NonNull<u8>, Place)> {
        if !Heap::<M, K>::HAS_CPUS {
            return None;
        }
        let place = Heap::<M, K>::PLACES.place_of(layout);
        Some((self.enter_at_once()?.take(place)?, place))
    }

    /// Allocates a slot of the next span that the CPU has, if that is soon done.
    #[inline(always)]
    pub(crate) fn alloc_next(self, layout: Layout) -> Option<NonNull<u8>> {
        let place = Heap::<M, K>::PLACES.place_of(layout);
        let entered = self.enter_at_once()?;
        // SAFETY: a heap that has blocks is online.
        let online = unsafe { self.heap.pages.online_at_once() };
        entered.take_next(online.records(), place)
    }

    /// Allocates a slot of the CPU's from the spans that it has besides the current word.
    #[inline(always)]
    pub(crate) fn alloc_more(self, layout: Layout) -> Option<NonNull<u8>> {
        let place = Heap::<M, K>::PLACES.place_of(layout);
        let entered = self.enter()?;
        // SAFETY: a heap that has blocks is online.
        let online = unsafe { self.heap.pages.online_at_once() };
        entered.take_more(online.records(), place)
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
        let place = Heap::<M, K>::PLACES.place_of(layout);
        let Some(entered) = self.enter_at_once() else {
            return false;
        };
        let address = if M::POINTERS_ARE_ADDRESSES {
            VirtAddr::new(pointer.addr().get())
        } else {
            // SAFETY: a heap that has blocks is online.
            let online = unsafe { self.heap.pages.online_at_once() };
            match online.machine.address(pointer) {
                Some(address) => address,
                None => return false,
            }
        };
        // SAFETY: the caller's promise is the same.
        match unsafe { entered.free_at::<M>(address, place) } {
            OwnFree::Done => true,
            OwnFree::Spent(span) => {
                look_at(self.heap, entered.stay(), span);
                true
            }
            OwnFree::Refused => false,
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
        if taken.is_none() && self.recast_kept(online, &entered, class) {
            taken = entered.take(place);
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

    /// Makes an empty span that the CPU keeps one of `class`, which has a place; `false` if none
    /// has as many pages.
    fn recast_kept(self, online: &Online<M>, entered: &Entered<'_>, class: SizeClass) -> bool {
        let records = online.records();
        let slots = Heap::<M, K>::TABLE.slots(class);
        let is_narrow = record_kind::<M, K>(slots) == RecordKind::Narrow;
        let pages = Heap::<M, K>::TABLE.pages(class);
        let fits =
            |record: &Record| (is_narrow || record.is_wide()) && record.run::<M>().count == pages;
        let Some(Emptied(handle)) = entered.give_up_kept_one(records, fits) else {
            return false;
        };
        let record = records.get(handle).record;
        let mut lists = self.heap.central.lock();
        // A span has at most 1280 slots.
        lists.recast_span::<M>(record, class, u16::try_from(slots).unwrap_or(u16::MAX));
        drop(lists);
        entered.own(records, handle, Place::of(Heap::<M, K>::TABLE, class));
        true
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

    /// Makes a new span of `class` the CPU's, or a central one if the block has come into use
    /// meanwhile, and takes its first slot.
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
        self.extend_map(online, ready.run(), flags);
        let free_slots = u16::try_from(slots).unwrap_or(u16::MAX);
        let mut lists = self.heap.central.lock();
        let run = ready.record();
        record.describe::<M>(Kind::Small(class.number()), run, free_slots, false);
        self.heap.pages.index().set(run, Some(handle));
        if let Some(entered) = self.enter() {
            lists.count_span::<M>(record);
            entered.own(records, handle, place);
            return Ok(entered.take(place));
        }
        // Not empty on its list: nobody looks for empty spans there.
        let slot = lists.insert(records, SpanClass::noscan(class), handle, slots);
        drop(lists);
        let memory = self
            .heap
            .slot_memory(online, class, slot, AllocFlags::empty());
        Ok(Some(memory.cast()))
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
            // SAFETY: the slot is the caller's.
            let freed = unsafe { entered.free_slot(records, (handle, span), slot) };
            return freed.map_err(|()| Misuse::DoubleFree);
        }
        // SAFETY: the slot is the caller's, and the tag is of that block.
        match unsafe { owner.free_remotely(records, span, slot, slots) } {
            RemoteFree::Done => Ok(None),
            RemoteFree::Double => Err(Misuse::DoubleFree),
        }
    }
}

/// Looks at a span whose credit a free of its CPU has spent, and leaves the CPU's `block`, which
/// the caller has entered.
// Out of line, and not to unwind, so that the way of most frees saves no register.
#[cold]
#[inline(never)]
extern "C" fn look_at<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    block: &CpuBlock,
    span: MappedSpan,
) {
    // SAFETY: a heap that has blocks is online.
    let online = unsafe { heap.pages.online_at_once() };
    // SAFETY: the caller has entered the block.
    let entered = unsafe { block.entered(K::REENTRY) };
    if entered.settle(online.records(), span) {
        return;
    }
    look_longer(heap, entered.stay(), span);
}

/// Looks at a span that may be empty, and leaves the CPU's `block`, which the caller has
/// entered.
#[inline(never)]
extern "C" fn look_longer<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    block: &CpuBlock,
    span: MappedSpan,
) {
    // SAFETY: a heap that has blocks is online.
    let online = unsafe { heap.pages.online_at_once() };
    // SAFETY: the caller has entered the block.
    let entered = unsafe { block.entered(K::REENTRY) };
    let emptied = entered.look_at(online.records(), span);
    drop(entered);
    if let Some(emptied) = emptied {
        heap.cpus().retire_emptied(online, emptied);
    }
}
