//! Requests that the spans of a CPU serve, without a lock, and the way there.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::misuse::Misuse;
use super::object_heap::Heap;
use super::records::record_kind;
use crate::arena::SpanHandle;
use crate::pageheap::{Online, Want};
use crate::region::{Cause, Purpose};
use crate::span::{
    CpuBlock, Emptied, Entered, Kind, Lists, Owner, Place, RemoteFree, SizeClass, SpanClass,
    SpanRef,
};

/// The blocks take no more than one byte in so many of the heap's windows.
const SHARE: usize = 256;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// The block of this CPU, if there is one.
    #[inline(always)]
    pub(super) fn block(&self) -> Option<&CpuBlock> {
        if !Self::HAS_CPUS {
            return None;
        }
        let number = if K::CPUS == 1 {
            0
        } else {
            usize::from(K::current_cpu().0)
        };
        self.block_of(number)
    }

    /// The block of CPU `number`, if there is one.
    #[inline(always)]
    fn block_of(&self, number: usize) -> Option<&CpuBlock> {
        let first = NonNull::new(self.central.blocks.load(Ordering::Acquire))?;
        if number >= usize::from(K::CPUS) {
            return None;
        }
        // SAFETY: there are as many blocks side by side.
        let block = unsafe { first.add(number) };
        // SAFETY: blocks were set up before they were published, stay, and are shared.
        Some(unsafe { block.as_ref() })
    }

    /// Enters the block of this CPU, unless somebody is inside.
    #[inline(always)]
    fn enter_block(&self) -> Option<Entered<'_>> {
        let block = self.block()?;
        if K::PREEMPTS {
            block.enter::<true>()
        } else {
            block.enter::<false>()
        }
    }

    /// Allocates a slot of the CPU's, if its current word has one.
    #[inline(always)]
    pub(crate) fn alloc_at_once(&self, layout: Layout) -> Option<(NonNull<u8>, Place)> {
        if !Self::HAS_CPUS {
            return None;
        }
        let place = Self::PLACES.place_of(layout);
        Some((self.enter_block()?.take(place)?, place))
    }

    /// Frees an object that lies in a span of the CPU's; `false`, and nothing is changed, if it
    /// does not, or is not one.
    ///
    /// # Safety
    /// As for [`try_deallocate`](Self::try_deallocate).
    #[inline(always)]
    pub(crate) unsafe fn free_at_once(&self, pointer: NonNull<u8>, layout: Layout) -> bool {
        if !Self::HAS_CPUS {
            return false;
        }
        let Some(online) = self.pages.online() else {
            return false;
        };
        let Some(address) = online.machine.address(pointer) else {
            return false;
        };
        let place = Self::PLACES.place_of(layout);
        let Some(handle) = self.pages.index().span_of(address) else {
            return false;
        };
        let Some(entered) = self.enter_block() else {
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

    /// Retires a span that a CPU has given up because it is empty.
    #[cold]
    #[inline(never)]
    fn retire_emptied(&self, online: &Online<M>, Emptied(handle): Emptied) {
        let mut lists = self.central.lock();
        self.take_in(online, &mut lists, handle);
    }

    /// Takes in a span that a CPU has given up: retires it if it is empty.
    pub(super) fn take_in(&self, online: &Online<M>, lists: &mut Lists, handle: SpanHandle) {
        let span = online.records().get(handle);
        let Kind::Small(number) = span.kind() else {
            return;
        };
        let Some(class) = Self::TABLE.class(number) else {
            return;
        };
        let slots = Self::TABLE.slots(class);
        let retired = lists.return_span(online.records(), handle, class, slots);
        if let Some(retired) = retired {
            self.free_retired(span.scan(), retired);
        }
    }

    /// Allocates a slot of `class`, which has a place, for a request that its CPU could not serve at
    /// once: of another span of the CPU's, of a central one, which becomes the CPU's, or of a new
    /// one. `None` if the block is in use, or there is none.
    ///
    /// # Errors
    /// The step that refused a new span.
    #[cold]
    #[inline(never)]
    pub(super) fn alloc_owned(
        &self,
        online: &Online<M>,
        class: SizeClass,
        flags: AllocFlags,
    ) -> Option<Result<NonNull<[u8]>, Cause>> {
        let place = Place::of(Self::TABLE, class);
        if !place.is_some() {
            return None;
        }
        let records = online.records();
        let entered = self.enter_block()?;
        let mut taken = entered.take_more(records, place);
        if taken.is_none() {
            let span_class = SpanClass::noscan(class);
            let central = self.central.lock().take_span(records, span_class);
            if let Some(handle) = central {
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
        let bytes = Self::TABLE.size(class);
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
        &self,
        online: &Online<M>,
        class: SizeClass,
        place: Place,
        flags: AllocFlags,
    ) -> Result<Option<NonNull<u8>>, Cause> {
        let slots = Self::TABLE.slots(class);
        let want = Want::pages(Self::TABLE.pages(class));
        let (handle, ready) = self.alloc_run(online, record_kind::<M, K>(slots), want, flags)?;
        let records = online.records();
        let record = records.get(handle).record;
        let free_slots = u16::try_from(slots).unwrap_or(u16::MAX);
        let mut lists = self.central.lock();
        let run = ready.record();
        record.describe(Kind::Small(class.number()), run, free_slots, false);
        lists.count_span::<M>(record);
        self.pages.index().set(run, Some(handle));
        match self.enter_block() {
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

    /// Makes the blocks of the kernel's CPUs, if there are none and the windows are large enough for
    /// them: for a request that has to grow the heap anyway.
    #[cold]
    pub(super) fn make_blocks(&self, online: &Online<M>, flags: AllocFlags) -> Option<()> {
        let is_there = !self.central.blocks.load(Ordering::Relaxed).is_null();
        if !Self::HAS_CPUS || is_there || flags.contains(AllocFlags::NO_GROW) {
            return None;
        }
        let count = usize::from(K::CPUS);
        let ledger = self.pages.ledger();
        let windows = ledger.mapped_ready() + ledger.prepared() + ledger.reserved();
        if windows / SHARE < count * size_of::<CpuBlock>() {
            return None;
        }
        let lists = self.central.lock();
        if self.pages.has_blocks() {
            return None;
        }
        self.pages.set_blocks(true);
        drop(lists);
        let memory = self
            .pages
            .take_metadata::<CpuBlock>(online, self, Purpose::Spans, count);
        let Ok(memory) = memory else {
            self.pages.set_blocks(false);
            return None;
        };
        let blocks = memory.into_slice();
        for (number, block) in blocks.iter().enumerate() {
            block.set_up(Owner::new(number), Self::TABLE);
        }
        self.central
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
        &self,
        online: &Online<M>,
        (handle, span): (SpanHandle, SpanRef<'_>),
        (class, slot): (SizeClass, usize),
    ) -> Result<Option<Emptied>, Misuse> {
        let (records, tag) = (online.records(), span.record.tag());
        let Some(owner) = tag.owner().and_then(|owner| self.block_of(owner.number())) else {
            return Err(Misuse::Damaged);
        };
        let slots = Self::TABLE.slots(class);
        if owner.is_remotely_freed(span, slot, slots) {
            return Err(Misuse::DoubleFree);
        }
        if let Some(entered) = self.enter_block().filter(|entered| entered.is_of(owner)) {
            let offset = slot * Self::TABLE.size(class);
            // SAFETY: the slot is the caller's.
            let freed = unsafe { entered.free(records, (handle, span), tag.place(), offset) };
            return freed.map_err(|()| Misuse::DoubleFree);
        }
        // SAFETY: the slot is the caller's, and the tag is of that block.
        match unsafe { owner.free_remotely(records, span, slot, slots) } {
            RemoteFree::Done => Ok(None),
            RemoteFree::Double => Err(Misuse::DoubleFree),
        }
    }

    /// Bytes of the blocks of CPUs.
    pub(crate) fn block_bytes(&self) -> usize {
        if self.central.blocks.load(Ordering::Relaxed).is_null() {
            return 0;
        }
        usize::from(K::CPUS) * size_of::<CpuBlock>()
    }

    /// Gives up the empty spans that this CPU keeps.
    pub(super) fn reclaim_kept(&self, online: &Online<M>) {
        if let Some(entered) = self.enter_block() {
            let mut lists = self.central.lock();
            entered.give_up_kept(online.records(), |Emptied(handle)| {
                self.take_in(online, &mut lists, handle);
            });
        }
    }

    /// Gives up all spans of all CPUs whose blocks can be entered, but those without free slots.
    /// Returns whether there is a block.
    #[cold]
    pub(crate) fn drain_blocks(&self, online: &Online<M>) -> bool {
        if !Self::HAS_CPUS || self.central.blocks.load(Ordering::Relaxed).is_null() {
            return false;
        }
        for number in 0..usize::from(K::CPUS) {
            let entered = match self.block_of(number) {
                Some(block) if K::PREEMPTS => block.enter::<true>(),
                _ => self.enter_block().filter(|_| number == 0),
            };
            if let Some(entered) = entered {
                let mut lists = self.central.lock();
                entered.drain(online.records(), |handle| {
                    self.take_in(online, &mut lists, handle);
                });
            }
        }
        true
    }
}
