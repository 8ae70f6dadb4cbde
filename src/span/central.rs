//! The central lists: all spans of each span class, partial and full.
//!
//! Guarded by the central lock, the outermost. A per-CPU cache will refill from and flush to these
//! lists; until then every request takes its slot here.

use core::num::NonZeroU32;
use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::Machine;

use super::record::{Kind, LiveSlot, Record, SpanRef, WideRecord};
use super::records::{Pool, RecordKind, Records};
use crate::arena::SpanHandle;
use crate::base::sparse::Fresh;
use crate::base::{PageIdx, PageRun};

/// Size classes at most.
pub(crate) const CLASSES: usize = 128;

/// The spans of one span class.
#[derive(Clone, Copy, Debug)]
struct Lists {
    /// The first span that has free slots.
    partial: u32,
    /// The first span that has none.
    full: u32,
    /// The span on the partial list that was kept although it has no live slots.
    kept: u32,
}

/// All spans of slots, and the records for more.
#[derive(Debug)]
pub(crate) struct Central {
    lists: [Lists; CLASSES],
    pool: Pool,
    /// Records that only atomic requests may take.
    kept_records: usize,
    /// Spans kept without live slots.
    kept_spans: usize,
    objects: usize,
}

/// Spans kept without live slots at most: enough to take the edge off a program that frees and
/// allocates the last object of a span by turns, and little enough not to be seen in the memory
/// overhead (one a class would be).
const KEPT_SPANS: usize = 8;

/// A slot that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// The span's first page.
    pub(crate) first: PageIdx,
    /// The slot in it.
    pub(crate) slot: usize,
    /// The slot's memory is known to be zero.
    pub(crate) zeroed: bool,
}

impl Central {
    /// No spans, no records.
    pub(crate) const fn new() -> Self {
        Self {
            lists: [Lists {
                kept: 0,
                partial: 0,
                full: 0,
            }; CLASSES],
            pool: Pool::new(),
            kept_records: 0,
            kept_spans: 0,
            objects: 0,
        }
    }

    /// Live small objects.
    pub(crate) const fn objects(&self) -> usize {
        self.objects
    }

    /// Takes a slot of a span that has one.
    // In line: its answer stays in registers.
    #[inline(always)]
    pub(crate) fn take<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        class: u8,
        slots: usize,
    ) -> Option<Taken> {
        let handle = SpanHandle(NonZeroU32::new(self.lists[usize::from(class)].partial)?);
        let span = records.get(handle);
        let taken = span.take_slot(slots)?;
        self.objects += 1;
        let lists = &mut self.lists[usize::from(class)];
        if lists.kept == handle.0.get() {
            lists.kept = 0;
            self.kept_spans -= 1;
        }
        if taken.free_slots == 0 {
            self.relink(records, class, handle, List::Partial, List::Full);
        }
        Some(Taken {
            first: span.record.first(),
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
        class: u8,
        slot: LiveSlot<'_>,
        slots: usize,
    ) -> Option<PageRun> {
        let free_slots = span.give_slot(slot);
        self.objects -= 1;
        if free_slots == 1 {
            self.relink(records, class, handle, List::Full, List::Partial);
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
        class: u8,
    ) -> Option<PageRun> {
        let record = records.get(handle).record;
        let small = record.run().count == 1 && self.kept_spans < KEPT_SPANS;
        if small && self.is_only_partial(record) {
            self.kept_spans += 1;
            self.lists[usize::from(class)].kept = handle.0.get();
            return None;
        }
        self.unlink(records, class, handle, List::Partial);
        Some(self.retire(records, handle))
    }

    /// Moves a span from one list of its class to the other.
    #[inline(never)]
    fn relink<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        class: u8,
        handle: SpanHandle,
        from: List,
        to: List,
    ) {
        self.unlink(records, class, handle, from);
        self.link(records, class, handle, to);
    }

    /// Takes the first slot of a new span, all of which are free, and puts it on its list.
    pub(crate) fn insert<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        class: u8,
        handle: SpanHandle,
        slots: usize,
    ) -> Option<Taken> {
        let span = records.get(handle);
        let taken = span.take_slot(slots)?;
        self.objects += 1;
        let list = if taken.free_slots == 0 {
            List::Full
        } else {
            List::Partial
        };
        self.link(records, class, handle, list);
        Some(Taken {
            first: span.record.first(),
            slot: taken.slot,
            zeroed: taken.zeroed,
        })
    }

    /// Takes a span that was kept without live slots off its list, if there is one.
    pub(crate) fn reclaim<M: Machine>(&mut self, records: Records<'_, M>) -> Option<PageRun> {
        if self.kept_spans == 0 {
            return None;
        }
        let index = self.lists.iter().position(|lists| lists.kept != 0)?;
        let class = u8::try_from(index).ok()?;
        let handle = SpanHandle(NonZeroU32::new(core::mem::take(
            &mut self.lists[index].kept,
        ))?);
        self.kept_spans -= 1;
        self.unlink(records, class, handle, List::Partial);
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

    /// Calls `visit` with each span on the lists of `class` and where it is, until it answers
    /// `false`, and for at most `most` spans a list, so that a ring ends.
    pub(crate) fn for_each<M: Machine>(
        &self,
        records: Records<'_, M>,
        class: usize,
        most: usize,
        mut visit: impl FnMut(SpanHandle, Listed) -> bool,
    ) {
        let lists = self.lists[class];
        for (first, partial) in [(lists.partial, true), (lists.full, false)] {
            let (mut next, mut before) = (first, 0);
            for _ in 0..=most {
                let Some(handle) = NonZeroU32::new(next).map(SpanHandle) else {
                    break;
                };
                let record = records.get(handle).record;
                let linked = record.previous.load(Relaxed) == before;
                if !visit(handle, Listed { partial, linked }) {
                    return;
                }
                (before, next) = (next, record.next.load(Relaxed));
            }
        }
    }

    /// The span of `class` that was kept without live slots.
    pub(crate) fn kept(&self, class: usize) -> Option<SpanHandle> {
        NonZeroU32::new(self.lists[class].kept).map(SpanHandle)
    }

    /// Whether the spans that are kept are as many as counted.
    pub(crate) fn kept_are_counted(&self) -> bool {
        self.lists.iter().filter(|lists| lists.kept != 0).count() == self.kept_spans
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

    fn head(&mut self, class: u8, list: List) -> &mut u32 {
        let lists = &mut self.lists[usize::from(class)];
        match list {
            List::Partial => &mut lists.partial,
            List::Full => &mut lists.full,
        }
    }

    fn link<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        class: u8,
        handle: SpanHandle,
        list: List,
    ) {
        let head = self.head(class, list);
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

    fn unlink<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        class: u8,
        handle: SpanHandle,
        list: List,
    ) {
        let record = records.get(handle).record;
        let (next, previous) = (record.next.load(Relaxed), record.previous.load(Relaxed));
        match NonZeroU32::new(previous).map(SpanHandle) {
            Some(before) => records.get(before).record.next.store(next, Relaxed),
            None => *self.head(class, list) = next,
        }
        if let Some(after) = NonZeroU32::new(next).map(SpanHandle) {
            records.get(after).record.previous.store(previous, Relaxed);
        }
    }
}

/// Where a walk over the lists of a class found a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    /// On the partial list, not the full one.
    pub(crate) partial: bool,
    /// Its link back is to the span before it.
    pub(crate) linked: bool,
}

/// Which list of a class.
#[derive(Clone, Copy, Debug)]
enum List {
    Partial,
    Full,
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl Central {
    pub(crate) fn plant_objects(&mut self, more: usize) {
        self.objects += more;
    }

    pub(crate) fn plant_full_list(&mut self, class: u8, first: u32) {
        self.lists[usize::from(class)].full = first;
    }

    pub(crate) fn plant_partial_list(&mut self, class: u8, first: u32) {
        self.lists[usize::from(class)].partial = first;
    }

    pub(crate) fn plant_kept(&mut self, class: u8, kept: u32) {
        self.lists[usize::from(class)].kept = kept;
    }

    pub(crate) fn plant_kept_count(&mut self, more: usize) {
        self.kept_spans += more;
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
