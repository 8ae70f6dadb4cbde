//! Frees of objects in spans that a CPU owns, by whoever did not find them in his own at once:
//! without a lock.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine};

use super::blocks::Cpus;
use super::object_heap::Heap;
use crate::arena::SpanHandle;
use crate::pageheap::Online;
use crate::span::{CpuBlock, Place, RemoteFree, SizeClass, SpanRef, Tag};

/// An object in a span that a CPU owned when it was looked up.
struct OwnedObject<'a> {
    handle: SpanHandle,
    span: SpanRef<'a>,
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
    pub(super) unsafe fn free_elsewhere(self, pointer: NonNull<u8>, layout: Layout) -> bool {
        let Some(online) = self.heap.pages.online() else {
            return false;
        };
        // SAFETY: the caller's promise is the same.
        let Some(found) = (unsafe { self.find_owned(online, pointer, layout) }) else {
            return false;
        };
        let (records, slots) = (online.records(), Heap::<M, K>::TABLE.slots(found.class));
        if !found.span.is_live(found.slot, slots) {
            return false;
        }
        if let Some(entered) = self.enter().filter(|entered| entered.is_of(found.owner)) {
            // The tag was read before: only from here on the span stays the CPU's.
            if found.span.record.tag().owner() != found.tag.owner() {
                return false;
            }
            let span = (found.handle, found.span);
            // SAFETY: the slot is the caller's.
            let freed = unsafe { entered.free_slot(records, span, found.slot) };
            drop(entered);
            if let Ok(Some(emptied)) = freed {
                self.retire_emptied(online, emptied);
            }
            return freed.is_ok();
        }
        let span = (found.span, found.tag);
        // SAFETY: the slot is the caller's, and the tag is of that block.
        match unsafe { found.owner.free_remotely(records, span, found.slot, slots) } {
            RemoteFree::Done => true,
            RemoteFree::Double => false,
            RemoteFree::HandedOver => {
                self.finish_free(online, &found);
                true
            }
        }
    }

    /// The object at `pointer`, if a CPU owns its span.
    ///
    /// # Safety
    /// As for [`Heap::deallocate`].
    #[inline(always)]
    unsafe fn find_owned<'a>(
        self,
        online: &'a Online<M>,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Option<OwnedObject<'a>>
    where
        Self: 'a,
    {
        let place = Self::place_of(layout);
        let class = place.class(Heap::<M, K>::TABLE)?;
        let address = online.machine.address(pointer)?;
        let span = self.block()?.map()?.find::<M>(address)?;
        // SAFETY: the caller's object keeps the span in use. Without one, the page is named as long
        // as a CPU owns the span, which needs a second free of the object at the same time to end.
        let record = unsafe { span.record() };
        let tag = record.tag();
        if Place::of_tag(tag) != place {
            return None;
        }
        let owner = self.block_of(tag.owner()?.number())?;
        let offset = address.bytes_above(record.base::<M>())?;
        let slot = Heap::<M, K>::TABLE.slot_at(class, offset);
        let is_start = slot < Heap::<M, K>::TABLE.slots(class)
            && slot * Heap::<M, K>::TABLE.size(class) == offset;
        let handle = online.records().handle(record).filter(|_| is_start)?;
        Some(OwnedObject {
            handle,
            span: online.records().get(handle),
            tag,
            owner,
            class,
            slot,
        })
    }

    /// Finishes a free whose span was handed over meanwhile, with all that set bits in the same
    /// word since.
    #[cold]
    #[inline(never)]
    fn finish_free(self, online: &Online<M>, found: &OwnedObject<'_>) {
        let (records, record) = (online.records(), found.span.record);
        let mut lists = self.heap.central.lock();
        if let Some(owner) = record.tag().owner() {
            // A CPU has made it its own again. It does not hand it over under the lock, nor later,
            // as long as the word is not empty.
            if let Some(owner) = self.block_of(owner.number()) {
                owner.post_word_of(records, record, found.slot);
            }
            return;
        }
        let slots = Heap::<M, K>::TABLE.slots(found.class);
        for slot in found.span.take_remote_slots(found.slot, slots) {
            // SAFETY: the central lock is held until the token is used up.
            let Some(slot) = (unsafe { found.span.taken_slot(slot) }) else {
                continue;
            };
            let retired = lists.free(records, found.handle, found.span, found.class, slot, slots);
            if let Some(retired) = retired {
                self.heap.free_retired(found.span.scan(), retired);
            }
        }
    }
}
