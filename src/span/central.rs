//! The central lists: the spans of each span class that have free slots.
//!
//! The lists own their lock, the outermost. Span records and alloc bits change under it.

use core::num::NonZeroU32;

use archipelago_api::{Kernel, Machine};

use super::class::{SPAN_CLASSES, Scan, SizeClass, SpanClass};
use super::counts::SpanCounts;
use super::list::RecordList;
use super::owned::Blocks;
use super::pool::{Pool, RecordPage};
use super::record::{Kind, Record};
use super::records::{RecordKind, Records};
use super::slots::{LiveSlot, SpanRef};
use super::tokens::{NewSlot, RetiredRun};
use crate::arena::SpanHandle;
use crate::base::PageRun;
use crate::base::held::HeapNumber;
use crate::base::lock::{RankedGuard, RankedLock, rank};
use crate::base::sparse::Zeroed;

/// The central lists of a heap in the kernel `K`, behind their lock.
pub(crate) struct Central<K: Kernel> {
    lists: RankedLock<Lists, K, { rank::CENTRAL }>,
    pub(crate) blocks: Blocks,
}

impl<K: Kernel> Central<K> {
    /// Lists without spans, for one CPU that is to own spans, or for others.
    pub(crate) const fn new(is_for_one: bool) -> Self {
        Self {
            lists: RankedLock::new(Lists::new()),
            blocks: Blocks::new(is_for_one),
        }
    }

    /// The lock is one of `heap`.
    #[inline(always)]
    pub(crate) fn join(&self, heap: HeapNumber) {
        self.lists.join(heap);
    }

    /// Takes the central lock.
    #[inline(always)]
    pub(crate) fn lock(&self) -> RankedGuard<'_, Lists, K, { rank::CENTRAL }> {
        self.lists.lock()
    }

    /// Allocates a slot of a span that has one.
    // In line: the slot stays in registers.
    #[inline(always)]
    pub(crate) fn alloc<'a, M: Machine>(
        &self,
        records: Records<'a, M>,
        class: SpanClass,
        slots: usize,
    ) -> Option<NewSlot<'a>> {
        let mut lists = self.lists.lock();
        if M::DECOMMITS {
            lists.alloc_in_line(records, class, slots)
        } else {
            // Code is scarce there.
            lists.alloc(records, class, slots)
        }
    }
}

/// The spans that have free slots, and the records for more.
#[derive(Debug)]
pub(crate) struct Lists {
    /// The first span of each class that has free slots. Full spans are on no list.
    pub(super) partial: [RecordList; SPAN_CLASSES],
    pub(super) pool: Pool,
    /// Empty spans that were kept on their lists.
    pub(super) kept_spans: [u32; KEPT_SPANS],
    pub(super) counts: SpanCounts,
}

/// The most empty spans that are kept: enough for a program that frees and allocates the last
/// object of a span by turns, and too few to show in the memory overhead, as one a class would. One
/// less where a heap has to fit a kilobyte.
pub(super) const KEPT_SPANS: usize = if usize::BITS == 64 { 8 } else { 7 };

impl Lists {
    /// Lists without spans and records.
    const fn new() -> Self {
        Self {
            partial: [RecordList::EMPTY; SPAN_CLASSES],
            pool: Pool::new(),
            kept_spans: [0; KEPT_SPANS],
            counts: SpanCounts::NONE,
        }
    }

    /// The counts of spans and of refused requests.
    pub(crate) const fn counts(&self) -> SpanCounts {
        self.counts
    }

    /// Counts a large object that was just made.
    pub(crate) const fn count_large(&mut self) {
        self.counts.large_objects = self.counts.large_objects.wrapping_add(1);
    }

    /// Counts a request that is refused.
    pub(crate) fn count_refusal(&mut self) {
        self.counts.refusals = self.counts.refusals.wrapping_add(1);
    }

    /// Allocates a slot of a span that has one.
    // Out of line, one for all callers that need not be quick.
    #[inline(never)]
    pub(crate) fn alloc<'a, M: Machine>(
        &mut self,
        records: Records<'a, M>,
        class: SpanClass,
        slots: usize,
    ) -> Option<NewSlot<'a>> {
        self.alloc_in_line(records, class, slots)
    }

    #[inline(always)]
    fn alloc_in_line<'a, M: Machine>(
        &mut self,
        records: Records<'a, M>,
        class: SpanClass,
        slots: usize,
    ) -> Option<NewSlot<'a>> {
        let class = class.number();
        let handle = self.partial.get(class)?.first()?;
        let span = records.get(handle);
        let taken = span.alloc_slot(slots)?;
        if usize::from(taken.free_slots) + 1 == slots {
            self.no_longer_kept(handle);
        }
        if taken.free_slots == 0 {
            self.unlink(records, class, handle);
        }
        Some(NewSlot::new(span, &taken))
    }

    /// Frees a live slot of `span`. A span that becomes empty leaves the lists, and its pages go to
    /// the caller, unless it is the only one of its class that has free slots: then it waits for
    /// the next request.
    #[inline]
    pub(crate) fn free<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        handle: SpanHandle,
        span: SpanRef<'_>,
        class: SizeClass,
        slot: LiveSlot<'_>,
        slots: usize,
    ) -> Option<RetiredRun> {
        let class = span.span_class(class).number();
        let free_slots = span.free_slot(slot);
        if free_slots == 1 {
            self.link(records, class, handle);
        }
        if free_slots < slots {
            return None;
        }
        self.keep_or_retire(records, handle, class)
    }

    /// Keeps an empty span, or retires it and returns its pages.
    #[inline(never)]
    fn keep_or_retire<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        handle: SpanHandle,
        class: usize,
    ) -> Option<RetiredRun> {
        let record = records.get(handle).record;
        let is_only = |list: &RecordList| list.is_only(records, handle);
        if record.run::<M>().count == 1 && self.partial.get(class).is_some_and(is_only) {
            if let Some(place) = self.kept_spans.iter_mut().find(|kept| **kept == 0) {
                *place = handle.0.get();
                return None;
            }
        }
        self.unlink(records, class, handle);
        // All slots of the span are free, as `free` counted.
        Some(self.retire_small(records, handle))
    }

    /// Notes that a slot of an empty span that was kept is taken.
    #[inline(never)]
    pub(super) fn no_longer_kept(&mut self, handle: SpanHandle) {
        for kept in &mut self.kept_spans {
            if *kept == handle.0.get() {
                *kept = 0;
            }
        }
    }

    /// Allocates the first slot of a new span, and puts the span on its list if it has more.
    pub(crate) fn insert<'a, M: Machine>(
        &mut self,
        records: Records<'a, M>,
        class: SpanClass,
        handle: SpanHandle,
        slots: usize,
    ) -> NewSlot<'a> {
        let span = records.get(handle);
        self.counts.count_small::<M>(span.record, true);
        let taken = span.alloc_first(slots);
        if taken.free_slots > 0 {
            self.link(records, class.number(), handle);
        }
        NewSlot::new(span, &taken)
    }

    /// Retires an empty span that was kept, if there is one, and returns whether its objects could
    /// hold pointers and its pages.
    pub(crate) fn reclaim<M: Machine>(
        &mut self,
        records: Records<'_, M>,
    ) -> Option<(Scan, RetiredRun)> {
        let place = self.kept_spans.iter_mut().find(|kept| **kept != 0)?;
        let handle = SpanHandle(NonZeroU32::new(core::mem::take(place))?);
        let span = records.get(handle);
        let Kind::Small(class) = span.kind() else {
            return None;
        };
        let class = span.span_class(SizeClass::numbered(class)).number();
        self.unlink(records, class, handle);
        let scan = span.scan();
        // A span that is kept is empty: `alloc` forgets it when it takes a slot.
        Some((scan, self.retire_small(records, handle)))
    }

    /// Retires a small span that is on no list and has no live slot.
    pub(super) fn retire_small<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        handle: SpanHandle,
    ) -> RetiredRun {
        let record = records.get(handle).record;
        self.counts.count_small::<M>(record, false);
        self.retire(records, handle, record)
    }

    /// Retires the span of a large object.
    ///
    /// # Safety
    /// The span is a large object's, which is being freed.
    pub(crate) unsafe fn retire_large<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        handle: SpanHandle,
    ) -> RetiredRun {
        self.counts.large_objects = self.counts.large_objects.wrapping_sub(1);
        self.retire(records, handle, records.get(handle).record)
    }

    /// Returns the record of a span to the pool, and the span's pages to the caller.
    fn retire<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        handle: SpanHandle,
        record: &Record,
    ) -> RetiredRun {
        let run = record.run::<M>();
        record.describe::<M>(Kind::Unused, PageRun::new(run.first, 0), 0, false);
        self.pool.free(records, handle);
        RetiredRun::new(run)
    }

    /// Returns a record that describes nothing yet to the pool.
    pub(crate) fn free_record<M: Machine>(&mut self, records: Records<'_, M>, handle: SpanHandle) {
        self.pool.free(records, handle);
    }

    /// Whether there is a page of records none of which is in use.
    pub(crate) fn has_empty_page(&self) -> bool {
        self.pool.has_empty_page()
    }

    /// Takes a page of records that the pool does not need out of it.
    pub(crate) fn take_empty_page<M: Machine>(
        &mut self,
        records: Records<'_, M>,
    ) -> Option<RecordPage> {
        self.pool.take_empty_page(records)
    }

    /// Allocates a record, leaving those that are kept for atomic requests unless `atomic`.
    pub(crate) fn alloc_record<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        kind: RecordKind,
        atomic: bool,
    ) -> Option<SpanHandle> {
        let kept = if atomic { 0 } else { self.pool.kept() };
        if self.pool.count(kind) <= kept {
            return None;
        }
        self.pool.alloc(records, kind)
    }

    /// Whether there are fewer unused records of `kind` than are kept for atomic requests.
    pub(crate) const fn lacks_records(&self, kind: RecordKind) -> bool {
        self.pool.count(kind) < self.pool.kept()
    }

    /// Unused records of `kind` that an ordinary request may take.
    pub(crate) const fn spare_records(&self, kind: RecordKind) -> usize {
        self.pool.count(kind).saturating_sub(self.pool.kept())
    }

    /// Records of `kind`, in use or not.
    pub(crate) const fn all_records(&self, kind: RecordKind) -> usize {
        self.pool.all(kind)
    }

    /// Keeps `count` records of each kind for atomic requests.
    pub(crate) const fn keep_records(&mut self, count: usize) {
        self.pool.keep(count);
    }

    /// Adds records of `kind` in fresh memory, which is a page of records or a piece that stays. A
    /// wide record has the lines of three narrow ones.
    pub(crate) fn add_records<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        memory: Zeroed<Record>,
        kind: RecordKind,
        is_page: bool,
    ) {
        self.pool.add(records, memory, kind, is_page);
    }

    /// Calls `visit` with each span on the list of `class`, and whether its link back is to the
    /// span before it, until `visit` returns `false`, and for at most `most` spans, so that a ring
    /// ends.
    pub(crate) fn for_each<M: Machine>(
        &self,
        records: Records<'_, M>,
        class: usize,
        most: usize,
        visit: impl FnMut(SpanHandle, bool) -> bool,
    ) {
        self.partial[class].for_each(records, most, visit);
    }

    /// Bytes of all records, in use or not.
    pub(crate) const fn record_bytes(&self) -> usize {
        self.pool.bytes()
    }

    /// Pages of the heap that records are in.
    pub(crate) const fn record_pages(&self) -> usize {
        self.pool.pages()
    }

    /// Records that are not in the pool.
    pub(crate) const fn records_in_use(&self) -> usize {
        self.pool.in_use(RecordKind::Narrow) + self.pool.in_use(RecordKind::Wide)
    }

    pub(super) fn link<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        class: usize,
        handle: SpanHandle,
    ) {
        match self.partial.get_mut(class) {
            Some(list) => list.link(records, handle),
            None => debug_assert!(false, "every class has a list"),
        }
    }

    #[inline(never)]
    pub(super) fn unlink<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        class: usize,
        handle: SpanHandle,
    ) {
        match self.partial.get_mut(class) {
            Some(list) => list.unlink(records, handle),
            None => debug_assert!(false, "every class has a list"),
        }
    }
}
