//! Frees of objects in spans that a CPU owns, by whoever did not find them in his own at once:
//! without a lock.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine};

use super::blocks::Cpus;
use super::object_heap::Heap;
use crate::pageheap::Online;
use crate::span::{CpuBlock, MappedSpan, Place, Record, RemoteFree, Tag};

/// An object in a span that a CPU owned when it was looked up.
struct OwnedObject<'a> {
    span: MappedSpan,
    record: &'a Record,
    tag: Tag,
    owner: &'a CpuBlock,
    place: Place,
    slot: usize,
}

impl<'a, M: Machine, K: Kernel> Cpus<'a, M, K> {
    /// Frees an object whose page is that of `span`, if another CPU owns the span; `false`, and
    /// nothing is changed, if none does, or there is no such object.
    ///
    /// # Safety
    /// As for [`Heap::deallocate`].
    #[inline(always)]
    pub(crate) unsafe fn free_for_another(
        self,
        span: MappedSpan,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> bool {
        // SAFETY: the caller's promise is the same.
        let Some(found) = (unsafe { self.owned_object(span, pointer, layout) }) else {
            return false;
        };
        // SAFETY: the slot is the caller's.
        unsafe { self.free_for_owner(&found) }
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
        let Some(found) = (unsafe { self.owned_object(span, pointer, layout) }) else {
            return false;
        };
        if self
            .block()
            .is_some_and(|block| core::ptr::eq(block, found.owner))
        {
            // SAFETY: the slot is the caller's.
            return unsafe { self.free_again(&found) };
        }
        // SAFETY: as above.
        unsafe { self.free_for_owner(&found) }
    }

    /// The object at `pointer`, whose page is that of `span`, if a CPU owns the span.
    ///
    /// # Safety
    /// As for [`Heap::deallocate`].
    #[inline(always)]
    unsafe fn owned_object(
        self,
        span: MappedSpan,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Option<OwnedObject<'a>> {
        let place = Self::place_of(layout);
        // SAFETY: the caller's object keeps the span in use. Without one, the page is named as long
        // as a CPU owns the span, which needs a second free of the object at the same time to end.
        let record: &Record = unsafe { span.record() };
        let tag = record.tag();
        let owner = self.block_of(tag.owner()?.number())?;
        if !place.is_of(tag) {
            return None;
        }
        let base = record.base::<M>().value();
        let offset = self.address_of(pointer)?.value().wrapping_sub(base);
        let slot = owner.slot_at(place, offset)?;
        Some(OwnedObject {
            span,
            record,
            tag,
            owner,
            place,
            slot,
        })
    }

    /// Frees an object of a span that another CPU owns.
    ///
    /// # Safety
    /// The object is the caller's.
    #[inline(always)]
    unsafe fn free_for_owner(self, found: &OwnedObject<'_>) -> bool {
        // SAFETY: a heap that has blocks is online.
        let online = unsafe { self.heap.pages.online_at_once() };
        let span = (found.span, found.tag);
        let slot = (found.place, found.slot);
        // SAFETY: the slot is the caller's, and the tag is of that block.
        match unsafe { found.owner.free_remotely_at(online.records(), span, slot) } {
            RemoteFree::Done => true,
            RemoteFree::Double => false,
            RemoteFree::HandedOver => {
                self.finish_free(online, found);
                true
            }
        }
    }

    /// Frees an object of a span of this CPU, of which others have freed slots, or which it was
    /// interrupted in.
    ///
    /// # Safety
    /// The object is the caller's.
    #[cold]
    #[inline(never)]
    unsafe fn free_again(self, found: &OwnedObject<'_>) -> bool {
        // SAFETY: a heap that has blocks is online.
        let online = unsafe { self.heap.pages.online_at_once() };
        let records = online.records();
        let (Some(handle), Some(class)) = (
            records.handle(found.record),
            found.place.class(Heap::<M, K>::TABLE),
        ) else {
            return false;
        };
        let span = records.get(handle);
        if !span.is_live(found.slot, Heap::<M, K>::TABLE.slots(class)) {
            return false;
        }
        let Some(entered) = self.enter().filter(|entered| entered.is_of(found.owner)) else {
            // SAFETY: the object is the caller's.
            return unsafe { self.free_for_owner(found) };
        };
        // The tag was read before: only from here on the span stays the CPU's.
        if found.record.tag().owner() != found.tag.owner() {
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
    #[cold]
    #[inline(never)]
    fn finish_free(self, online: &Online<M>, found: &OwnedObject<'_>) {
        let (records, record) = (online.records(), found.record);
        let (Some(handle), Some(class)) = (
            records.handle(record),
            found.place.class(Heap::<M, K>::TABLE),
        ) else {
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
