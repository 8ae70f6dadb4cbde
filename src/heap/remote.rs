//! Frees of objects in spans that a CPU owns, by whoever did not find them in his own at once:
//! without a lock.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine};

use super::blocks::Cpus;
use super::object_heap::Heap;
use crate::pageheap::Online;
use crate::span::{CpuBlock, MappedSpan, Place, Record, RemoteFree, SizeClass, Tag};

/// An object in a span that a CPU owned when it was looked up.
struct OwnedObject<'a> {
    span: MappedSpan,
    record: &'a Record,
    tag: Tag,
    owner: &'a CpuBlock,
    class: SizeClass,
    slot: usize,
}

impl<M: Machine, K: Kernel> Cpus<'_, M, K> {
    /// Frees an object that lies in a span that a CPU owns; `false`, and nothing is changed, if it
    /// does not, or is not one.
    ///
    /// # Safety
    /// As for [`Heap::deallocate`].
    #[inline(always)]
    pub(crate) unsafe fn free_elsewhere(self, pointer: NonNull<u8>, layout: Layout) -> bool {
        let Some(block) = self.block() else {
            return false;
        };
        // SAFETY: a heap that has blocks is online.
        let online = unsafe { self.heap.pages.online_at_once() };
        // SAFETY: the caller's promise is the same.
        let Some(found) = (unsafe { self.find_owned(online, block, pointer, layout) }) else {
            return false;
        };
        if core::ptr::eq(block, found.owner) {
            // SAFETY: the slot is the caller's.
            return unsafe { self.free_again(online, &found) };
        }
        // SAFETY: as above.
        unsafe { self.free_for_owner(online, &found) }
    }

    /// The object at `pointer`, if a CPU owns its span. `block` is any CPU's.
    ///
    /// # Safety
    /// As for [`Heap::deallocate`].
    #[inline(always)]
    unsafe fn find_owned<'a>(
        self,
        online: &Online<M>,
        block: &CpuBlock,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Option<OwnedObject<'a>>
    where
        Self: 'a,
    {
        let place = Self::place_of(layout);
        let address = online.machine.address(pointer)?;
        let span = block.map()?.find::<M>(address)?;
        // SAFETY: the caller's object keeps the span in use. Without one, the page is named as long
        // as a CPU owns the span, which needs a second free of the object at the same time to end.
        let record: &Record = unsafe { span.record() };
        let tag = record.tag();
        if Place::of_tag(tag) != place {
            return None;
        }
        let class = place.class(Heap::<M, K>::TABLE)?;
        let owner = self.block_of(tag.owner()?.number())?;
        let offset = address.bytes_above(record.base::<M>())?;
        let slot = Heap::<M, K>::TABLE.slot_at(class, offset);
        let is_start = slot < Heap::<M, K>::TABLE.slots(class)
            && slot * Heap::<M, K>::TABLE.size(class) == offset;
        is_start.then_some(OwnedObject {
            span,
            record,
            tag,
            owner,
            class,
            slot,
        })
    }

    /// Frees an object of a span that another CPU owns.
    ///
    /// # Safety
    /// The object is the caller's.
    #[inline(always)]
    unsafe fn free_for_owner(self, online: &Online<M>, found: &OwnedObject<'_>) -> bool {
        let (records, slots) = (online.records(), Heap::<M, K>::TABLE.slots(found.class));
        let freed = {
            let span = (found.span, found.tag);
            // SAFETY: the slot is the caller's, and the tag is of that block.
            unsafe {
                found
                    .owner
                    .free_remotely_at(records, span, found.slot, slots)
            }
        };
        match freed {
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
    unsafe fn free_again(self, online: &Online<M>, found: &OwnedObject<'_>) -> bool {
        let records = online.records();
        let Some(handle) = records.handle(found.record) else {
            return false;
        };
        let span = records.get(handle);
        if !span.is_live(found.slot, Heap::<M, K>::TABLE.slots(found.class)) {
            return false;
        }
        let Some(entered) = self.enter().filter(|entered| entered.is_of(found.owner)) else {
            // SAFETY: the object is the caller's.
            return unsafe { self.free_for_owner(online, found) };
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
        let Some(handle) = records.handle(record) else {
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
        let (span, slots) = (records.get(handle), Heap::<M, K>::TABLE.slots(found.class));
        for slot in span.take_remote_slots(found.slot, slots) {
            // SAFETY: the central lock is held until the token is used up.
            let Some(slot) = (unsafe { span.taken_slot(slot) }) else {
                continue;
            };
            let retired = lists.free(records, handle, span, found.class, slot, slots);
            if let Some(retired) = retired {
                self.heap.free_retired(span.scan(), retired);
            }
        }
    }
}
