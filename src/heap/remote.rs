//! Frees of objects in spans that a CPU owns, by whoever did not find them in his own at once:
//! without a lock.

use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::{Ordering, fence};

use archipelago_api::{Kernel, Machine};

use super::blocks::Cpus;
use super::object_heap::Heap;
use crate::pageheap::Online;
use crate::span::{CpuBlock, MappedSpan, Marked, Place, Record, RemoteFree, Tag};

/// An object in a span that a CPU owned when it was looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnedObject {
    span: MappedSpan,
    tag: Tag,
    slot: usize,
}

/// The outcome of a free for another CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ForAnother {
    /// The object is free.
    Done,
    /// The object is free as soon as this is [announced](announce).
    First(OwnedObject),
    /// No other CPU owns the span, or there is no such object; nothing has changed.
    Refused,
}

impl<'a, M: Machine, K: Kernel> Cpus<'a, M, K> {
    /// Frees an object whose page is that of `span`, if another CPU owns the span. The spans of
    /// this CPU that serve the object's layout have the tag `own`.
    ///
    /// # Safety
    /// - As for [`Heap::deallocate`].
    /// - A block of this heap gives spans the tag `own`.
    #[inline(always)]
    pub(crate) unsafe fn free_for_another(
        self,
        span: MappedSpan,
        pointer: NonNull<u8>,
        own: Tag,
    ) -> ForAnother {
        // SAFETY: as in `owned_object`.
        let tag = unsafe { span.record() }.tag();
        if !tag.is_of_another(own) {
            return ForAnother::Refused;
        }
        // The owner may have published its block since: before it gave the span the tag.
        fence(Ordering::Acquire);
        // SAFETY: the caller's promise is the same.
        let place = unsafe { Place::of_owned(own) };
        // SAFETY: as above; and the tag is that of a span of a CPU, in that place.
        match unsafe { self.object_in((span, tag), pointer, place) } {
            // SAFETY: the object is the caller's.
            Some(found) => unsafe { self.mark(found, place) },
            None => ForAnother::Refused,
        }
    }

    /// Frees an object that lies in a span that a CPU owns, be it this one; `false`, and nothing is
    /// changed, if it does not, or is not one.
    ///
    /// # Safety
    /// As for [`Heap::deallocate`].
    #[inline(always)]
    pub(crate) unsafe fn free_elsewhere(self, pointer: NonNull<u8>, layout: Layout) -> bool {
        let find = || {
            let address = self.address_of(pointer)?;
            self.map()?.find::<M>(address)
        };
        let Some(span) = find() else {
            return false;
        };
        // SAFETY: the caller's promise is the same.
        let found = unsafe { self.owned_object(span, pointer, Self::place_of(layout)) };
        let Some(found) = found else {
            return false;
        };
        let owner = self.owner_of(found);
        if self.block().is_some_and(|block| ptr::eq(block, owner)) {
            // SAFETY: the slot is the caller's.
            return unsafe { self.free_again(found) };
        }
        // SAFETY: as above.
        unsafe { self.free_for_owner(found) }
    }

    /// The object of `place` at `pointer`, whose page is that of `span`, if a CPU owns the span.
    ///
    /// # Safety
    /// As for [`Heap::deallocate`].
    #[inline(always)]
    unsafe fn owned_object(
        self,
        span: MappedSpan,
        pointer: NonNull<u8>,
        place: Place,
    ) -> Option<OwnedObject> {
        // SAFETY: the caller's object keeps the span in use. Without one, the page is named as long
        // as a CPU owns the span, which needs a second free of the object at the same time to end.
        let tag = unsafe { span.record() }.tag();
        if tag.owner().is_none() || !place.is_of(tag) {
            return None;
        }
        // As in `free_for_another`.
        fence(Ordering::Acquire);
        // SAFETY: as above; and the tag is that of a span of a CPU, in that place.
        unsafe { self.object_in((span, tag), pointer, place) }
    }

    /// The object at `pointer` in a span of `place` that a CPU owns, which has the tag.
    ///
    /// # Safety
    /// - As for [`Heap::deallocate`].
    /// - A block has given the span the tag, in this place.
    #[inline(always)]
    unsafe fn object_in(
        self,
        (span, tag): (MappedSpan, Tag),
        pointer: NonNull<u8>,
        place: Place,
    ) -> Option<OwnedObject> {
        // SAFETY: as in `owned_object`.
        let base = unsafe { span.record() }.base::<M>().value();
        let offset = self.address_of(pointer)?.value().wrapping_sub(base);
        // SAFETY: the tag is that of a span of a CPU.
        let slot = unsafe { self.block_of_owner(tag) }.slot_at(place, offset)?;
        Some(OwnedObject { span, tag, slot })
    }

    /// The block of the CPU that owned the object's span.
    #[inline(always)]
    fn owner_of(self, found: OwnedObject) -> &'a CpuBlock {
        // SAFETY: the tag is that of a span of a CPU.
        unsafe { self.block_of_owner(found.tag) }
    }

    /// Marks an object of a span of `place` that another CPU owns as freed.
    ///
    /// # Safety
    /// The object is the caller's.
    #[inline(always)]
    unsafe fn mark(self, found: OwnedObject, place: Place) -> ForAnother {
        let (span, slot) = ((found.span, found.tag), (place, found.slot));
        // SAFETY: the slot is the caller's, and the tag is of that block and place.
        match unsafe { self.owner_of(found).mark(span, slot) } {
            Marked::Done => ForAnother::Done,
            Marked::First => ForAnother::First(found),
            Marked::Double => ForAnother::Refused,
        }
    }

    /// Frees an object of a span that another CPU owns; `false` if it was freed before.
    ///
    /// # Safety
    /// The object is the caller's.
    unsafe fn free_for_owner(self, found: OwnedObject) -> bool {
        // SAFETY: the caller's promise is the same.
        match unsafe { self.mark(found, Place::of_tag(found.tag)) } {
            ForAnother::Done => {}
            ForAnother::First(found) => announce(self.heap, found.span, found.tag, found.slot),
            ForAnother::Refused => return false,
        }
        true
    }

    /// Frees an object of a span of this CPU, of which others have freed slots, or which it was
    /// interrupted in.
    ///
    /// # Safety
    /// The object is the caller's.
    #[cold]
    #[inline(never)]
    unsafe fn free_again(self, found: OwnedObject) -> bool {
        // SAFETY: a heap that has blocks is online.
        let online = unsafe { self.heap.pages.online_at_once() };
        let records = online.records();
        // SAFETY: the object is the caller's, so that the span is in use.
        let record = unsafe { found.span.record() };
        let class = Place::of_tag(found.tag).class(Heap::<M, K>::TABLE);
        let (Some(handle), Some(class)) = (records.handle(record), class) else {
            return false;
        };
        let span = records.get(handle);
        if !span.is_live(found.slot, Heap::<M, K>::TABLE.slots(class)) {
            return false;
        }
        let owner = self.owner_of(found);
        let Some(entered) = self.enter().filter(|entered| entered.is_of(owner)) else {
            // SAFETY: the object is the caller's.
            return unsafe { self.free_for_owner(found) };
        };
        // The tag was read before: only from here on the span stays the CPU's.
        if record.tag().owner() != found.tag.owner() {
            return false;
        }
        // SAFETY: the slot is the caller's.
        let freed = unsafe { entered.free_slot(records, (handle, span), found.slot) };
        drop(entered);
        if let Ok(Some(emptied)) = freed {
            self.retire_emptied(online, emptied);
        }
        freed.is_ok()
    }

    /// Finishes a free whose span was handed over meanwhile, with all that set bits in the same
    /// word since.
    fn finish_free(self, online: &Online<M>, record: &Record, found: OwnedObject) {
        let records = online.records();
        let class = Place::of_tag(found.tag).class(Heap::<M, K>::TABLE);
        let (Some(handle), Some(class)) = (records.handle(record), class) else {
            return;
        };
        let mut lists = self.heap.central.lock();
        if let Some(owner) = record.tag().owner() {
            // A CPU has made it its own again. It does not hand it over under the lock, nor later,
            // as long as the word is not empty.
            if let Some(owner) = self.block_of(owner.number()) {
                owner.post_word_of(records, record, found.slot);
            }
            return;
        }
        let (span, slots) = (records.get(handle), Heap::<M, K>::TABLE.slots(class));
        for slot in span.take_remote_slots(found.slot, slots) {
            // SAFETY: the central lock is held until the token is used up.
            let Some(slot) = (unsafe { span.taken_slot(slot) }) else {
                continue;
            };
            let retired = lists.free(records, handle, span, class, slot, slots);
            if let Some(retired) = retired {
                self.heap.free_retired(span.scan(), retired);
            }
        }
    }
}

/// Announces to the owner of a span that `slot` was marked as freed, the first of its word.
#[cold]
#[inline(never)]
extern "C" fn announce<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    span: MappedSpan,
    tag: Tag,
    slot: usize,
) {
    let found = OwnedObject { span, tag, slot };
    // SAFETY: a heap that has blocks is online.
    let online = unsafe { heap.pages.online_at_once() };
    // SAFETY: a word that is not empty keeps the span in use until it is announced.
    let record = unsafe { span.record() };
    let owner = heap.cpus().owner_of(found);
    let announced = owner.announce(online.records(), (record, tag), slot);
    if announced == RemoteFree::HandedOver {
        heap.cpus().finish_free(online, record, found);
    }
}

/// [`announce`], of what [`Cpus::free_for_another`] has returned.
#[inline(always)]
pub(crate) fn announce_first<M: Machine, K: Kernel>(heap: &Heap<M, K>, found: OwnedObject) {
    announce(heap, found.span, found.tag, found.slot);
}
