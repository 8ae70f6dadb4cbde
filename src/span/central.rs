//! The central lists: the spans of each span class that have free slots.
//!
//! Guarded by the central lock, the outermost. A per-CPU cache will refill from and flush to these
//! lists; until then every request takes its slot here.

use core::num::NonZeroU32;
use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::Machine;
#[cfg(feature = "heap-bits")]
use archipelago_api::VirtAddr;

use super::class::SPAN_CLASSES;
use super::record::{Kind, Record, WideRecord};
use super::records::{Pool, RecordKind, Records};
use super::slots::{LiveSlot, SpanRef};
use crate::arena::SpanHandle;
use crate::base::PageRun;
use crate::base::sparse::Fresh;

/// The spans that have free slots, and the records for more.
#[derive(Debug)]
pub(crate) struct Central {
    /// The first span of each class that has free slots. Those that have none are on no list.
    partial: [u32; SPAN_CLASSES],
    pool: Pool,
    /// Records that only atomic requests may take.
    kept_records: usize,
    /// Spans that were kept on their lists although they have no live slots.
    kept_spans: [u32; KEPT_SPANS],
    objects: usize,
    /// What of the heap bitmap the central lock guards.
    #[cfg(feature = "heap-bits")]
    pub(crate) bits: BitsCounts,
}

/// Counts of the heap bitmap.
#[cfg(feature = "heap-bits")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct BitsCounts {
    /// Readers who have not left: while there are any, no part is taken back.
    pub(crate) readers: usize,
    /// Bytes of idle parts.
    pub(crate) idle_bytes: usize,
}

#[cfg(feature = "heap-bits")]
impl BitsCounts {
    /// Counts a reader.
    pub(crate) const fn enter(&mut self) {
        self.readers = self.readers.saturating_add(1);
    }

    /// Counts one reader less. Where there were too many to count, as there can be if they are
    /// forgotten without leaving, there are readers for ever.
    pub(crate) const fn leave(&mut self) {
        if self.readers != usize::MAX {
            self.readers -= 1;
        }
    }
}

/// Spans kept without live slots at most: enough to take the edge off a program that frees and
/// allocates the last object of a span by turns, and little enough not to be seen in the memory
/// overhead (one a class would be).
const KEPT_SPANS: usize = 8;

/// A slot that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken<'a> {
    /// The span's record. As long as the slot is the caller's, the span's place does not change.
    pub(crate) record: &'a Record,
    /// The record's address.
    #[cfg(feature = "heap-bits")]
    pub(crate) address: VirtAddr,
    /// The slot in it.
    pub(crate) slot: usize,
    /// The slot's memory is known to be zero.
    pub(crate) zeroed: bool,
}

impl Central {
    /// No spans, no records.
    pub(crate) const fn new() -> Self {
        Self {
            partial: [0; SPAN_CLASSES],
            pool: Pool::new(),
            kept_records: 0,
            kept_spans: [0; KEPT_SPANS],
            objects: 0,
            #[cfg(feature = "heap-bits")]
            bits: BitsCounts {
                readers: 0,
                idle_bytes: 0,
            },
        }
    }

    /// Live small objects.
    pub(crate) const fn objects(&self) -> usize {
        self.objects
    }

    /// Takes a slot of a span that has one.
    // In line: its answer stays in registers.
    #[inline(always)]
    pub(crate) fn take<'a, M: Machine>(
        &mut self,
        records: Records<'a, M>,
        class: usize,
        slots: usize,
    ) -> Option<Taken<'a>> {
        let handle = SpanHandle(NonZeroU32::new(self.partial[class])?);
        let span = records.get(handle);
        let taken = span.take_slot(slots)?;
        self.objects += 1;
        if usize::from(taken.free_slots) + 1 == slots {
            self.no_longer_kept(handle);
        }
        if taken.free_slots == 0 {
            self.unlink(records, class, handle);
        }
        Some(Taken {
            record: span.record,
            #[cfg(feature = "heap-bits")]
            address: span.address,
            slot: taken.slot,
            zeroed: taken.zeroed,
        })
    }

    /// Gives a live slot of `span` back. A span without live slots leaves the lists, and its pages
    /// are the caller's, unless it is the only one of its class that has free slots: then it waits
    /// for the next request.
    #[inline]
    pub(crate) fn give<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        handle: SpanHandle,
        span: SpanRef<'_>,
        class: usize,
        slot: LiveSlot<'_>,
        slots: usize,
    ) -> Option<PageRun> {
        let free_slots = span.give_slot(slot);
        self.objects -= 1;
        if free_slots == 1 {
            self.link(records, class, handle);
        }
        if free_slots < slots {
            return None;
        }
        self.keep_or_retire(records, handle, class)
    }

    /// What becomes of a span that has lost its last live slot: its pages, unless it is kept.
    #[inline(never)]
    fn keep_or_retire<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        handle: SpanHandle,
        class: usize,
    ) -> Option<PageRun> {
        let record = records.get(handle).record;
        if record.run().count == 1 && self.is_only_partial(record) {
            if let Some(place) = self.kept_spans.iter_mut().find(|kept| **kept == 0) {
                *place = handle.0.get();
                return None;
            }
        }
        self.unlink(records, class, handle);
        Some(self.retire(records, handle))
    }

    /// Notes that a slot of a span that was kept without live slots was taken.
    #[inline(never)]
    fn no_longer_kept(&mut self, handle: SpanHandle) {
        for kept in &mut self.kept_spans {
            if *kept == handle.0.get() {
                *kept = 0;
            }
        }
    }

    /// Takes the first slot of a new span, all of which are free, and puts it on its list if there
    /// are more.
    pub(crate) fn insert<'a, M: Machine>(
        &mut self,
        records: Records<'a, M>,
        class: usize,
        handle: SpanHandle,
        slots: usize,
    ) -> Option<Taken<'a>> {
        let span = records.get(handle);
        let taken = span.take_slot(slots)?;
        self.objects += 1;
        if taken.free_slots > 0 {
            self.link(records, class, handle);
        }
        Some(Taken {
            record: span.record,
            #[cfg(feature = "heap-bits")]
            address: span.address,
            slot: taken.slot,
            zeroed: taken.zeroed,
        })
    }

    /// Takes a span that was kept without live slots off its list, if there is one.
    pub(crate) fn reclaim<M: Machine>(&mut self, records: Records<'_, M>) -> Option<PageRun> {
        let place = self.kept_spans.iter_mut().find(|kept| **kept != 0)?;
        let handle = SpanHandle(NonZeroU32::new(core::mem::take(place))?);
        let span = records.get(handle);
        let Kind::Small(class) = span.kind() else {
            return None;
        };
        self.unlink(records, span.number_of(class), handle);
        Some(self.retire(records, handle))
    }

    /// Returns the record of a span that is on no list to the pool, and its pages to the caller.
    pub(crate) fn retire<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        handle: SpanHandle,
    ) -> PageRun {
        let record = records.get(handle).record;
        let run = record.run();
        record.describe(Kind::Unused, PageRun::new(run.first, 0), 0, false);
        self.pool.give(records, handle);
        run
    }

    /// Takes an unused record, leaving those that are kept for atomic requests unless `atomic`.
    pub(crate) fn take_record<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        kind: RecordKind,
        atomic: bool,
    ) -> Option<SpanHandle> {
        let kept = if atomic { 0 } else { self.kept_records };
        if self.pool.count(kind) <= kept {
            return None;
        }
        self.pool.take(records, kind)
    }

    /// Whether there are fewer unused records of `kind` than are kept for atomic requests.
    pub(crate) const fn lacks_records(&self, kind: RecordKind) -> bool {
        self.pool.count(kind) < self.kept_records
    }

    /// Unused records of `kind` that an ordinary request may take.
    pub(crate) const fn spare_records(&self, kind: RecordKind) -> usize {
        self.pool.count(kind).saturating_sub(self.kept_records)
    }

    /// Keeps `count` records of each kind for atomic requests.
    pub(crate) const fn keep_records(&mut self, count: usize) {
        self.kept_records = count;
    }

    /// Adds records in fresh memory.
    pub(crate) fn add_records<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        memory: Fresh<Record>,
    ) {
        self.pool.add(records, memory);
    }

    /// Adds wide records in fresh memory.
    pub(crate) fn add_wide_records<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        memory: Fresh<WideRecord>,
    ) {
        self.pool.add_wide(records, memory);
    }

    /// Calls `visit` with each span on the list of `class`, and whether its link back is to the
    /// span before it, until it answers `false`, and for at most `most` spans, so that a ring ends.
    pub(crate) fn for_each<M: Machine>(
        &self,
        records: Records<'_, M>,
        class: usize,
        most: usize,
        mut visit: impl FnMut(SpanHandle, bool) -> bool,
    ) {
        let (mut next, mut before) = (self.partial[class], 0);
        for _ in 0..=most {
            let Some(handle) = NonZeroU32::new(next).map(SpanHandle) else {
                return;
            };
            let record = records.get(handle).record;
            if !visit(handle, record.previous.load(Relaxed) == before) {
                return;
            }
            (before, next) = (next, record.next.load(Relaxed));
        }
    }

    /// Whether a span was kept without live slots.
    pub(crate) fn is_kept(&self, handle: SpanHandle) -> bool {
        self.kept_spans.contains(&handle.0.get())
    }

    /// How many spans were.
    pub(crate) fn count_kept(&self) -> usize {
        self.kept_spans.iter().filter(|kept| **kept != 0).count()
    }

    /// Bytes of all records, in use or not.
    pub(crate) const fn record_bytes(&self) -> usize {
        self.pool.bytes()
    }

    /// Whether the records of the pool describe nothing, and whether they are as many as counted.
    pub(crate) fn pool_is_sound<M: Machine>(&self, records: Records<'_, M>) -> (bool, bool) {
        self.pool
            .all_unused(records, |record| record.kind() == Kind::Unused)
    }

    fn is_only_partial(&self, record: &Record) -> bool {
        record.next.load(Relaxed) == 0 && record.previous.load(Relaxed) == 0
    }

    fn link<M: Machine>(&mut self, records: Records<'_, M>, class: usize, handle: SpanHandle) {
        let head = &mut self.partial[class];
        let record = records.get(handle).record;
        record.previous.store(0, Relaxed);
        record.next.store(*head, Relaxed);
        if let Some(next) = NonZeroU32::new(*head).map(SpanHandle) {
            records
                .get(next)
                .record
                .previous
                .store(handle.0.get(), Relaxed);
        }
        *head = handle.0.get();
    }

    #[inline(never)]
    fn unlink<M: Machine>(&mut self, records: Records<'_, M>, class: usize, handle: SpanHandle) {
        let record = records.get(handle).record;
        let (next, previous) = (record.next.load(Relaxed), record.previous.load(Relaxed));
        match NonZeroU32::new(previous).map(SpanHandle) {
            Some(before) => records.get(before).record.next.store(next, Relaxed),
            None => self.partial[class] = next,
        }
        if let Some(after) = NonZeroU32::new(next).map(SpanHandle) {
            records.get(after).record.previous.store(previous, Relaxed);
        }
    }
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl Central {
    pub(crate) fn plant_objects(&mut self, more: usize) {
        self.objects += more;
    }

    pub(crate) fn plant_partial_list(&mut self, class: u8, first: u32) {
        self.partial[usize::from(class)] = first;
    }

    pub(crate) fn plant_kept(&mut self, kept: u32) {
        self.kept_spans[KEPT_SPANS - 1] = kept;
    }

    pub(crate) fn plant_none_kept(&mut self) {
        self.kept_spans = [0; KEPT_SPANS];
    }

    pub(crate) fn plant_pool_kind<M: Machine>(&mut self, records: Records<'_, M>) {
        if let Some(handle) = self.pool.take(records, RecordKind::Narrow) {
            let record = records.get(handle).record;
            self.pool.give(records, handle);
            record.describe(Kind::Large, record.run(), 0, false);
        }
    }

    pub(crate) fn plant_pool_count(&mut self, more: usize) {
        self.pool.plant_count(more);
    }
}
