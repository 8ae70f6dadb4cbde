//! New spans: a record and a run, made one.

use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::memory::{memory_of, run_memory};
use super::object_heap::Heap;
use super::records::record_kind;
use crate::arena::SpanHandle;
use crate::pageheap::{Online, ReadyRun, Want};
use crate::region::Cause;
use crate::span::{Kind, NewSlot, RecordKind, SizeClass, SpanClass};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Allocates a slot of `class` in a span that has one.
    // In line: a call would save and restore as many registers as the rest needs.
    #[inline(always)]
    pub(super) fn alloc_slot<'a>(
        &self,
        online: &'a Online<M>,
        class: SpanClass,
    ) -> Option<NewSlot<'a>> {
        let slots = Self::TABLE.slots(class.size_class());
        self.central.alloc(online.records(), class, slots)
    }

    /// The memory of a slot that was allocated for the caller, whose token is used up.
    #[inline]
    pub(super) fn slot_memory(
        &self,
        online: &Online<M>,
        class: SizeClass,
        slot: NewSlot<'_>,
        flags: AllocFlags,
    ) -> NonNull<[u8]> {
        memory_of::<M, K>(online, class, &slot, flags)
    }

    /// Allocates the first slot of a new span of `class`.
    ///
    /// # Errors
    /// The step that refused; the heap is as it was.
    #[cold]
    pub(super) fn alloc_in_new_span(
        &self,
        online: &Online<M>,
        span_class: SpanClass,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        let class = span_class.size_class();
        let want = Want::pages(Self::TABLE.pages(class)).for_scan(span_class.scan());
        let slots = Self::TABLE.slots(class);
        let (handle, ready) = self.alloc_run(online, record_kind::<M, K>(slots), want, flags)?;
        let record = online.records().get(handle).record;
        // A span has at most 1280 slots.
        let free_slots = u16::try_from(slots).unwrap_or(u16::MAX);
        let mut lists = self.central.lock();
        let is_zeroed = ready.is_zeroed();
        let run = ready.record();
        record.describe::<M>(Kind::Small(class.number()), run, free_slots, is_zeroed);
        record.mark(span_class.scan());
        self.place_bits(online, span_class, handle);
        self.pages.index().set(run, Some(handle));
        let slot = lists.insert(online.records(), span_class, handle, slots);
        drop(lists);
        Ok(self.slot_memory(online, class, slot, flags))
    }

    /// Allocates a large object: a run of its own.
    ///
    /// # Errors
    /// The step that refused; the heap is as it was.
    #[inline]
    pub(super) fn alloc_large(
        &self,
        online: &Online<M>,
        want: Want,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        let (handle, ready) = self.alloc_run(online, RecordKind::Narrow, want, flags)?;
        let memory = run_memory(online, &ready, flags);
        let is_zeroed = ready.is_zeroed();
        let run = ready.record();
        let mut lists = self.central.lock();
        lists.count_large();
        let record = online.records().get(handle).record;
        record.describe::<M>(Kind::Large, run, 0, is_zeroed);
        record.mark(want.scan);
        self.pages.index().set(run, Some(handle));
        Ok(memory)
    }

    /// Allocates a record and the run that it is to describe.
    ///
    /// # Errors
    /// The step that refused; the record is in the pool again.
    #[inline]
    pub(super) fn alloc_run(
        &self,
        online: &Online<M>,
        kind: RecordKind,
        want: Want,
        flags: AllocFlags,
    ) -> Result<(SpanHandle, ReadyRun), Cause> {
        try_run(self, online, kind, want, flags, true)
    }
}

fn try_run<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    online: &Online<M>,
    kind: RecordKind,
    want: Want,
    flags: AllocFlags,
    may_try_again: bool,
) -> Result<(SpanHandle, ReadyRun), Cause> {
    let handle = match heap.alloc_record(online, kind, flags) {
        Ok(handle) => handle,
        Err(cause) => {
            if Heap::<M, K>::HAS_CPUS && may_try_again && heap.cpus().make_way(online, flags) {
                return try_run(heap, online, kind, want, flags, false);
            }
            return Err(cause);
        }
    };
    match heap.pages.alloc(online, want, flags, heap) {
        Ok(ready) => {
            // Afterwards: where memory was refused before, this request has found out whether
            // there is some again.
            heap.refill_if_low(online, flags);
            Ok((handle, ready))
        }
        Err(cause) => {
            let is_freed = drop_record(heap, online, handle);
            if Heap::<M, K>::HAS_CPUS && may_try_again && heap.cpus().make_way(online, flags) {
                return try_run(heap, online, kind, want, flags, false);
            }
            // The page that was made for the record may be the one that is missing.
            let is_short = M::DECOMMITS || matches!(cause, Cause::Window { .. });
            let may_grow = may_try_again && !flags.contains(AllocFlags::NO_GROW);
            if !may_grow || !is_short || !is_freed {
                return Err(cause);
            }
            heap.make_piece_of_records(online, kind)?;
            try_run(heap, online, kind, want, flags, false)
        }
    }
}

/// Returns a record that describes nothing to the pool, and frees the pages of records that are
/// empty. Returns whether there was one.
#[cold]
fn drop_record<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    online: &Online<M>,
    handle: SpanHandle,
) -> bool {
    let mut lists = heap.central.lock();
    lists.free_record(online.records(), handle);
    drop(lists);
    heap.reclaim_record_pages(online)
}
