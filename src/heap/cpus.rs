//! Requests that the spans of a CPU serve, without a lock, and the way there.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine, VirtAddr};

use super::blocks::Cpus;
use super::missed::Missed;
use super::misuse::Misuse;
use super::object_heap::Heap;
use super::records::record_kind;
use crate::arena::SpanHandle;
use crate::pageheap::{Online, ReadyRun, Want};
use crate::region::Cause;
use crate::span::{
    CpuBlock, Emptied, Entered, Kind, MappedSpan, OwnFree, Place, Record, RecordKind, RemoteFree,
    SizeClass, SpanClass, SpanRef, Tag,
};

/// The outcome of a free that is made at once if it can be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AtOnce {
    /// The object is free.
    Done,
    /// The object is not in a span of the CPU's alone: its page is this span's. Those of the CPU
    /// alone that serve the layout have this tag.
    Elsewhere(MappedSpan, Tag),
    /// The CPU's block is not at hand, or there is no such object in the CPU's spans.
    Refused,
}

impl<'a, M: Machine, K: Kernel> Cpus<'a, M, K> {
    /// The place that serves `layout`.
    #[inline(always)]
    pub(crate) fn place_of(layout: Layout) -> Place {
        Heap::<M, K>::PLACES.place_of(layout)
    }

    /// Allocates a slot of the CPU's, if its current word has one.
    ///
    /// # Errors
    /// The request, to go on with.
    #[inline(always)]
    pub(crate) fn alloc_at_once(self, layout: Layout) -> Result<(NonNull<u8>, Place), Missed<'a>> {
        if !Heap::<M, K>::HAS_CPUS {
            return Err(Missed::without_block(Place::NONE));
        }
        let place = Self::place_of(layout);
        let Some(entered) = self.enter_at_once() else {
            return Err(Missed::without_block(place));
        };
        match entered.take(place) {
            Some(start) => Ok((start, place)),
            None => Err(Missed::by(entered, place)),
        }
    }

    /// Allocates a slot of the next span that the CPU has, if that is soon done.
    ///
    /// # Safety
    /// [`alloc_at_once`](Self::alloc_at_once) of this heap has returned `missed`.
    #[inline(always)]
    pub(crate) unsafe fn alloc_next(self, missed: Missed<'_>) -> Option<NonNull<u8>> {
        let place = missed.place();
        let entered = missed.into_entered(K::REENTRY)?;
        if !entered.has_next(place) {
            // So it is with nobody's block, which is there before the heap is online.
            return None;
        }
        // SAFETY: a block with spans is a CPU's, of a heap that is online.
        let online = unsafe { self.heap.pages.online_at_once() };
        entered.take_next(online.records(), place)
    }

    /// The address of a pointer, if it is one of the machine's.
    #[inline(always)]
    pub(super) fn address_of(self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        if M::POINTERS_ARE_ADDRESSES {
            return Some(VirtAddr::new(pointer.addr().get()));
        }
        self.heap.pages.online()?.machine.address(pointer)
    }

    /// Frees an object that lies in a span of the CPU's.
    ///
    /// # Safety
    /// As for [`try_deallocate`](Self::try_deallocate).
    #[inline(always)]
    pub(crate) unsafe fn free_at_once(self, pointer: NonNull<u8>, layout: Layout) -> AtOnce {
        if !Heap::<M, K>::HAS_CPUS {
            return AtOnce::Refused;
        }
        let place = Self::place_of(layout);
        let Some(entered) = self.enter_at_once() else {
            return AtOnce::Refused;
        };
        let Some(address) = self.address_of(pointer) else {
            return AtOnce::Refused;
        };
        // SAFETY: the caller's promise is the same.
        match unsafe { entered.free_at::<M>(address, place) } {
            OwnFree::Done => AtOnce::Done,
            OwnFree::Spent(span) => {
                entered.stay();
                look_at(self.heap, span);
                AtOnce::Done
            }
            OwnFree::Elsewhere(span, own) => AtOnce::Elsewhere(span, own),
            OwnFree::Refused => AtOnce::Refused,
        }
    }

    /// Whether an object that `place` serves lies in a span of the CPU's, and can be freed at once.
    ///
    /// # Safety
    /// As for [`try_deallocate`](Self::try_deallocate).
    #[inline]
    pub(crate) unsafe fn is_at_hand(self, pointer: NonNull<u8>, place: Place) -> bool {
        let Some(entered) = self.enter_at_once() else {
            return false;
        };
        let address = self.address_of(pointer);
        // SAFETY: the caller's promise is the same.
        address.is_some_and(|address| unsafe { entered.is_live_at::<M>(address, place) })
    }

    /// Allocates a slot of `place` for a request that its CPU could not serve at once: of another
    /// span of the CPU's, of a central one, which becomes the CPU's, or of a new one. Returns
    /// whether it is known to be zero, too. `None` if the block is in use, or there is none, or no
    /// class has the place.
    ///
    /// # Errors
    /// The step that refused a new span.
    #[cold]
    #[inline(never)]
    pub(crate) fn alloc_owned(
        self,
        place: Place,
        flags: AllocFlags,
    ) -> Option<Result<(NonNull<u8>, bool), Cause>> {
        let class = place.class(Heap::<M, K>::TABLE)?;
        if let Some(taken) = self.take_owned(class, place, flags)? {
            return Some(Ok((taken, false)));
        }
        // SAFETY: a heap that has blocks is online.
        let online = unsafe { self.heap.pages.online_at_once() };
        self.make_owned(online, class, place, flags).transpose()
    }

    /// Takes a slot of any span that is there. `None` if the block is in use, or there is none.
    // Out of line: what it needs of the stack is given back before a span is made.
    #[inline(never)]
    fn take_owned(
        self,
        class: SizeClass,
        place: Place,
        flags: AllocFlags,
    ) -> Option<Option<NonNull<u8>>> {
        let entered = self.enter()?;
        // SAFETY: a heap that has blocks is online.
        let online = unsafe { self.heap.pages.online_at_once() };
        if let Some(taken) = entered.take_more(online.records(), place) {
            return Some(Some(taken));
        }
        self.heap.reject_machine(flags);
        if let Some(taken) = self.take_over(online, &entered, class, place) {
            return Some(Some(taken));
        }
        Some(self.recast_kept(online, &entered, class, place))
    }

    /// Makes a central span of `class` that has free slots the CPU's, and takes one.
    #[inline(always)]
    fn take_over(
        self,
        online: &Online<M>,
        entered: &Entered<'_>,
        class: SizeClass,
        place: Place,
    ) -> Option<NonNull<u8>> {
        let records = online.records();
        // Under the lock until the span is the CPU's: who frees an object of a span that is
        // nobody's retires it if that was the last.
        let mut lists = self.heap.central.lock();
        let handle = lists.take_span(records, SpanClass::noscan(class))?;
        entered.own(records, handle, place);
        entered.take(place)
    }

    /// Makes an empty span that the CPU keeps one of `class`, and takes a slot, if one has as many
    /// pages.
    #[inline(always)]
    fn recast_kept(
        self,
        online: &Online<M>,
        entered: &Entered<'_>,
        class: SizeClass,
        place: Place,
    ) -> Option<NonNull<u8>> {
        let records = online.records();
        let slots = Heap::<M, K>::TABLE.slots(class);
        let is_narrow = record_kind::<M, K>(slots) == RecordKind::Narrow;
        let fits = |record: &Record| is_narrow || record.is_wide();
        let handle = entered.take_kept(records, Heap::<M, K>::TABLE.pages(class), fits)?;
        let record = records.get(handle).record;
        if record.kind() != Kind::Small(class.number()) {
            let mut lists = self.heap.central.lock();
            // A span has at most 1280 slots.
            lists.recast_span::<M>(record, class, u16::try_from(slots).unwrap_or(u16::MAX));
        }
        entered.start(records, handle, place);
        entered.take(place)
    }

    /// The memory of a slot, cleared if `flags` ask for zeroes.
    #[inline(always)]
    pub(crate) fn cleared(
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
    /// meanwhile, and takes its first slot. Returns whether it is known to be zero, too.
    ///
    /// # Errors
    /// The step that refused.
    fn make_owned(
        self,
        online: &Online<M>,
        class: SizeClass,
        place: Place,
        flags: AllocFlags,
    ) -> Result<Option<(NonNull<u8>, bool)>, Cause> {
        let slots = Heap::<M, K>::TABLE.slots(class);
        let want = Want::pages(Heap::<M, K>::TABLE.pages(class));
        let (handle, ready) =
            self.heap
                .alloc_run(online, record_kind::<M, K>(slots), want, flags)?;
        self.extend_map(online, ready.run(), flags);
        Ok(self.begin_span(online, (handle, ready), class, place))
    }

    /// Makes a record and a run a span of `class`, the CPU's if its block can be entered, and takes
    /// its first slot.
    // A function of its own for the sake of the stack where nothing is optimised.
    #[inline]
    fn begin_span(
        self,
        online: &Online<M>,
        (handle, ready): (SpanHandle, ReadyRun),
        class: SizeClass,
        place: Place,
    ) -> Option<(NonNull<u8>, bool)> {
        let slots = Heap::<M, K>::TABLE.slots(class);
        let records = online.records();
        let record = records.get(handle).record;
        let free_slots = u16::try_from(slots).unwrap_or(u16::MAX);
        let mut lists = self.heap.central.lock();
        let is_zeroed = ready.is_zeroed();
        let run = ready.record();
        record.describe::<M>(Kind::Small(class.number()), run, free_slots, false);
        self.heap.pages.index().set(run, Some(handle));
        if let Some(entered) = self.enter() {
            lists.count_span::<M>(record);
            entered.own_new(records, handle, place);
            return entered.take(place).map(|start| (start, is_zeroed));
        }
        // Not empty on its list: nobody looks for empty spans there.
        let slot = lists.insert(records, SpanClass::noscan(class), handle, slots);
        drop(lists);
        let memory = self
            .heap
            .slot_memory(online, class, slot, AllocFlags::empty());
        Some((memory.cast(), is_zeroed))
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
        match unsafe { owner.free_remotely(records, (span, tag), slot, slots) } {
            RemoteFree::Done => Ok(None),
            RemoteFree::Double => Err(Misuse::DoubleFree),
            // No span is handed over under the central lock.
            RemoteFree::HandedOver => Err(Misuse::Damaged),
        }
    }
}

/// Looks at a span whose credit a free of its CPU has spent, and leaves the CPU's block, which the
/// caller has entered.
// Out of line, and not to unwind, so that the way of most frees saves no register. That is why it
// finds the block again.
#[cold]
#[inline(never)]
extern "C" fn look_at<M: Machine, K: Kernel>(heap: &Heap<M, K>, span: MappedSpan) {
    // SAFETY: the span is of a CPU whose block is entered, which alone gives it up.
    let tag = unsafe { span.record() }.tag();
    // SAFETY: as above.
    let block = unsafe { heap.cpus().block_of_owner(tag) };
    // SAFETY: a heap that has blocks is online.
    let online = unsafe { heap.pages.online_at_once() };
    // SAFETY: the caller has entered the block.
    let entered = unsafe { block.entered(K::REENTRY) };
    if entered.settle(online.records(), span, tag) {
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
