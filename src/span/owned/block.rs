//! The block of a CPU: its spans by class.
//!
//! A block is touched by whoever has **entered** it, one at a time: [`CpuBlock::enter`] answers with
//! nothing while somebody is inside, an interrupted thread or another CPU, and the caller then does
//! without the block.

use core::cell::Cell;
use core::num::NonZeroU32;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use archipelago_api::Machine;

use super::super::class::ClassTable;
use super::super::record::{Record, WORD_BITS};
use super::super::records::Records;
use super::super::slots::SpanRef;
use super::atomics::{keep_in_number, set_in_number, swap_flag, swap_mask, swap_word};
use super::entry::Entry;
use super::places::{ENTRIES, Place, remote_words};
use super::remote::{self, Inbox, RemoteFree};
use super::tag::{Owner, Tag};
use crate::arena::SpanHandle;
use crate::base::sparse;

/// Empty spans that a block keeps.
const KEPT: usize = 4;
/// Frees after which a current span is looked at that may be empty.
const LOOK: u16 = 16;
/// Spans of so many slots or fewer are queued at their first free, others after a quarter.
const FEW_SLOTS: u16 = 16;
/// The link back of a span that is full and not in the queue.
const FULL: u32 = u32::MAX;

/// The block of a CPU. Zero is one without spans, to be set up.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct CpuBlock {
    entries: [Entry; ENTRIES],
    /// The tag of the CPU's spans in place 0.
    tag: Cell<u32>,
    is_entered: AtomicBool,
    /// Handles of spans that became empty, the oldest at `next_kept`; 0 for none.
    kept: [Cell<u32>; KEPT],
    next_kept: Cell<usize>,
    inbox: Inbox,
}

// SAFETY: zero is valid for every field: numbers, and pointers that are not used before the entry is
// set up.
unsafe impl sparse::Entry for CpuBlock {}

// SAFETY: cells are touched by whoever has entered the block alone; the rest is atomics.
unsafe impl Sync for CpuBlock {}
// SAFETY: the pointers of entries lead to memory of the heap, wherever they are used.
unsafe impl Send for CpuBlock {}

/// Proof that the caller is the one who touches the block.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    block: &'a CpuBlock,
}

/// An empty span that the block does not keep: it is nobody's now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a span of nobody's is lost"]
pub(crate) struct Emptied(pub(crate) SpanHandle);

impl CpuBlock {
    /// Makes fresh memory the block of `owner`.
    pub(crate) fn set_up(&self, owner: Owner, table: &ClassTable) {
        self.tag.set(Tag::new(owner, Place::NONE).0);
        for (number, entry) in (0_u8..).zip(&self.entries) {
            match Place::numbered(number).class(table) {
                Some(class) if Place::of(table, class).number() == number => {
                    entry.set_up(
                        table.size_of_slot(class),
                        table.magic_of(class),
                        table.slots_of(class),
                    );
                }
                _ => entry.set_up(0, 0, 0),
            }
        }
    }

    /// Enters the block, unless somebody is inside. `IS_SHARED` says that others than handlers of
    /// this CPU may be: threads that are switched by interrupts, or other CPUs.
    #[inline(always)]
    pub(crate) fn enter<const IS_SHARED: bool>(&self) -> Option<Entered<'_>> {
        if IS_SHARED {
            if swap_flag(&self.is_entered, true, Ordering::Acquire) {
                return None;
            }
        } else {
            // A handler leaves the flag as it finds it, so nothing comes between these two.
            if self.is_entered.load(Ordering::Relaxed) {
                return None;
            }
            self.is_entered.store(true, Ordering::Relaxed);
            compiler_fence(Ordering::SeqCst);
        }
        Some(Entered { block: self })
    }

    /// Frees `slot` of a span of this block's CPU for another, who has the slot.
    ///
    /// # Safety
    /// The slot is the caller's, so that the span is in use; its record has the tag of this block.
    pub(crate) unsafe fn free_remotely<M: Machine>(
        &self,
        records: Records<'_, M>,
        span: SpanRef<'_>,
        slot: usize,
        slots: usize,
    ) -> RemoteFree {
        let word = slot / WORD_BITS;
        let words = (span.word(word), span.word(word + remote_words(slots)));
        // SAFETY: the caller's promise is the same.
        unsafe {
            remote::free(span.record, slot, words, |record| {
                if let Some(handle) = records.handle(record) {
                    self.inbox.post(record, handle.0.get());
                }
            })
        }
    }

    /// Whether `slot` of a span was freed by another than its owner, who has not taken it back.
    pub(crate) fn is_remotely_freed(&self, span: SpanRef<'_>, slot: usize, slots: usize) -> bool {
        let word = span.word(slot / WORD_BITS + remote_words(slots));
        word.load(Ordering::Relaxed) >> (slot % WORD_BITS) & 1 != 0
    }

    /// Whether a span with this tag is of this block.
    #[inline]
    fn owns(&self, tag: Tag) -> bool {
        tag.owner() == Tag(self.tag.get()).owner()
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.block.is_entered.store(false, Ordering::Release);
    }
}

impl<'a> Entered<'a> {
    #[inline(always)]
    fn entry(&self, place: Place) -> &'a Entry {
        let number = usize::from(place.number());
        // SAFETY: places have numbers below `ENTRIES`.
        unsafe { core::hint::assert_unchecked(number < ENTRIES) };
        &self.block.entries[number]
    }

    /// Takes a slot of the current word.
    #[inline(always)]
    pub(crate) fn take(&self, place: Place) -> Option<NonNull<u8>> {
        self.entry(place).take()
    }

    /// Whether the block is this one.
    pub(crate) fn is_of(&self, block: &CpuBlock) -> bool {
        core::ptr::eq(self.block, block)
    }

    /// The tag that spans of this block have in `place`.
    #[inline(always)]
    pub(crate) fn tag(&self, place: Place) -> Tag {
        Tag(self.block.tag.get() | u32::from(place.number()))
    }

    /// Frees the slot that begins `offset` bytes above the first of the span, whose record has the
    /// tag of this block and `place`; `false`, and nothing is changed, if none begins there that is
    /// live. With the `Emptied` the span is nobody's.
    ///
    /// # Safety
    /// If there is a live slot, it is the caller's.
    #[inline(always)]
    pub(crate) unsafe fn free<M: Machine>(
        &self,
        records: Records<'_, M>,
        (handle, span): (SpanHandle, SpanRef<'_>),
        place: Place,
        offset: usize,
    ) -> Result<Option<Emptied>, ()> {
        let entry = self.entry(place);
        let slot = entry.slot_at(offset).ok_or(())?;
        let word = span.word_or_none(slot / WORD_BITS).ok_or(())?;
        let bit = 1 << (slot % WORD_BITS);
        let live = word.load(Ordering::Relaxed);
        if live & bit == 0 {
            return Err(());
        }
        word.store(live & !bit, Ordering::Relaxed);
        let credit = span
            .record
            .free_slots
            .load(Ordering::Relaxed)
            .wrapping_sub(1);
        span.record.free_slots.store(credit, Ordering::Relaxed);
        if credit != 0 {
            return Ok(None);
        }
        Ok(self.credit_is_spent(records, (handle, span), place))
    }

    /// Looks at a span that has had as many frees as it was to have.
    #[cold]
    #[inline(never)]
    fn credit_is_spent<M: Machine>(
        &self,
        records: Records<'_, M>,
        (handle, span): (SpanHandle, SpanRef<'_>),
        place: Place,
    ) -> Option<Emptied> {
        let entry = self.entry(place);
        let record = span.record;
        let live = self.live_slots(span, entry);
        if entry.current.get() == handle.0.get() {
            if live == 0 {
                return self.keep(records, handle, span, place);
            }
            record.free_slots.store(live.max(LOOK), Ordering::Relaxed);
            return None;
        }
        if record.previous.load(Ordering::Relaxed) == FULL {
            self.push(records, handle, span, place);
        }
        if live == 0 {
            return self.keep(records, handle, span, place);
        }
        // Queued spans only get frees, so that this finds the very last.
        record.free_slots.store(live, Ordering::Relaxed);
        None
    }

    /// Keeps an empty span, and gives up the one that was kept longest, if it is still empty.
    fn keep<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        span: SpanRef<'_>,
        place: Place,
    ) -> Option<Emptied> {
        span.record.free_slots.store(LOOK, Ordering::Relaxed);
        let block = self.block;
        if block.kept.iter().any(|kept| kept.get() == handle.0.get()) {
            return None;
        }
        let _ = place;
        let next = block.next_kept.get();
        block.next_kept.set((next + 1) % KEPT);
        let oldest = block.kept[next].replace(handle.0.get());
        let oldest = NonZeroU32::new(oldest).map(SpanHandle)?;
        self.give_up_if_empty(records, oldest)
    }

    /// Gives a span up that is of this block and empty.
    fn give_up_if_empty<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
    ) -> Option<Emptied> {
        let span = records.get(handle);
        let tag = span.record.tag();
        if !self.block.owns(tag) {
            return None;
        }
        let entry = self.entry(tag.place());
        if self.live_slots(span, entry) != 0 {
            return None;
        }
        self.disown(records, handle, span, tag.place());
        Some(Emptied(handle))
    }

    /// Gives a span up, whatever it holds: it is nobody's now, and its record counts its slots.
    fn disown<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        span: SpanRef<'_>,
        place: Place,
    ) {
        let entry = self.entry(place);
        let record = span.record;
        if entry.current.get() == handle.0.get() {
            entry.dry_up();
        } else if record.previous.load(Ordering::Relaxed) != FULL {
            self.unlink(records, entry, record);
        }
        let slots = entry.slots.get();
        let live = self.live_slots(span, entry);
        record.tag.store(Tag::NONE.0, Ordering::Relaxed);
        record.free_slots.store(slots - live, Ordering::Relaxed);
        record.fresh_slot.store(slots, Ordering::Relaxed);
        for kept in &self.block.kept {
            if kept.get() == handle.0.get() {
                kept.set(0);
            }
        }
    }

    /// Makes a span this block's, which is on no list and has free slots: the current one of its
    /// place.
    pub(crate) fn own<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        place: Place,
    ) {
        let span = records.get(handle);
        let entry = self.entry(place);
        span.record.fresh_slot.store(0, Ordering::Relaxed);
        // The release is for those who look the record up; the tag comes last.
        span.record.tag.store(self.tag(place).0, Ordering::Release);
        self.leave_current(records, entry);
        self.make_current(records, handle, span, entry);
    }

    /// Puts the current span aside: in the queue if it has free slots, else as a full one.
    fn leave_current<M: Machine>(&self, records: Records<'_, M>, entry: &Entry) {
        let Some(handle) = NonZeroU32::new(entry.current.get()).map(SpanHandle) else {
            return;
        };
        entry.dry_up();
        let span = records.get(handle);
        let live = self.live_slots(span, entry);
        let slots = entry.slots.get();
        if live < slots {
            self.push_entry(records, handle, span.record, entry);
            span.record.free_slots.store(live.max(1), Ordering::Relaxed);
        } else {
            self.mark_full(span.record, slots);
        }
    }

    fn mark_full(&self, record: &Record, slots: u16) {
        record.previous.store(FULL, Ordering::Relaxed);
        let credit = if slots <= FEW_SLOTS { 1 } else { slots / 4 };
        record.free_slots.store(credit, Ordering::Relaxed);
    }

    fn make_current<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        span: SpanRef<'_>,
        entry: &Entry,
    ) {
        let live = self.live_slots(span, entry);
        span.record
            .free_slots
            .store(live.max(LOOK), Ordering::Relaxed);
        span.record.previous.store(0, Ordering::Relaxed);
        entry.current.set(handle.0.get());
        self.next_word(records, span, entry, 0);
    }

    /// Takes slots from the first word of the span, from number `from` on, that has free ones.
    fn next_word<M: Machine>(
        &self,
        records: Records<'_, M>,
        span: SpanRef<'_>,
        entry: &Entry,
        from: usize,
    ) -> bool {
        let slots = usize::from(entry.slots.get());
        for at in from..slots.div_ceil(WORD_BITS) {
            let in_word = (slots - at * WORD_BITS).min(WORD_BITS);
            let full = usize::MAX >> (WORD_BITS - in_word);
            let word = span.word(at);
            if word.load(Ordering::Relaxed) == full {
                continue;
            }
            let first = span.record.first().address::<M>();
            let start = records.machine().pointer(first);
            // SAFETY: the slot of the word's first bit lies in the span.
            let base = unsafe { start.add(at * WORD_BITS * entry.size()) };
            let number = u16::try_from(at).unwrap_or(0);
            // SAFETY: 1. the word is the current span's; 2. base and value are as said.
            unsafe { entry.take_from(word, full, base.as_ptr(), number) };
            return true;
        }
        false
    }

    /// Takes a slot of `place` whose current word is used up: of another word, of a span in the
    /// queue, or of one that others have freed slots of.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_more<M: Machine>(
        &self,
        records: Records<'_, M>,
        place: Place,
    ) -> Option<NonNull<u8>> {
        let entry = self.entry(place);
        if let Some(taken) = entry.take() {
            return Some(taken);
        }
        if let Some(handle) = NonZeroU32::new(entry.current.get()).map(SpanHandle) {
            let span = records.get(handle);
            if self.next_word(records, span, entry, 0) {
                return entry.take();
            }
        }
        if entry.first.get() == 0 && !self.block.inbox.is_empty() {
            self.read_notices(records);
        }
        let handle = NonZeroU32::new(entry.first.get()).map(SpanHandle)?;
        let span = records.get(handle);
        self.unlink(records, entry, span.record);
        self.leave_current(records, entry);
        self.make_current(records, handle, span, entry);
        entry.take()
    }

    /// Takes back the slots that others have freed.
    #[cold]
    pub(crate) fn read_notices<M: Machine>(&self, records: Records<'_, M>) {
        let mut next = self.block.inbox.take_all();
        while let Some(handle) = NonZeroU32::new(next).map(SpanHandle) {
            let span = records.get(handle);
            next = span.record.link().load(Ordering::Relaxed);
            self.take_back(records, handle, span);
        }
    }

    fn take_back<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        span: SpanRef<'_>,
    ) {
        let record = span.record;
        let place = record.tag().place();
        let entry = self.entry(place);
        let slots = usize::from(entry.slots.get());
        keep_in_number(&record.tag, !Tag::REMOTE, Ordering::Relaxed);
        let posted = swap_mask(record.posted(), 0, Ordering::Acquire);
        let words = slots.div_ceil(WORD_BITS);
        let mut count = 0;
        for at in (0..words).filter(|at| posted >> at & 1 != 0) {
            let remote = span.word(at + remote_words(slots));
            let freed = swap_word(remote, 0, Ordering::Acquire);
            let word = span.word(at);
            let live = word.load(Ordering::Relaxed);
            debug_assert_eq!(freed & !live, 0, "a slot is freed once");
            word.store(live & !freed, Ordering::Relaxed);
            count += (freed & live).count_ones();
        }
        let is_any = |at: usize| span.word(at + remote_words(slots)).load(Ordering::Relaxed) != 0;
        if (0..words).any(is_any) {
            set_in_number(&record.tag, Tag::REMOTE, Ordering::Relaxed);
        }
        if count == 0 || entry.current.get() == handle.0.get() {
            return;
        }
        if record.previous.load(Ordering::Relaxed) == FULL {
            self.push(records, handle, span, place);
        }
        // An empty one is found when it is current.
        let live = self.live_slots(span, entry);
        record.free_slots.store(live.max(1), Ordering::Relaxed);
    }

    /// Gives up all spans but those without free slots, each to `visit`.
    pub(crate) fn drain<M: Machine>(
        &self,
        records: Records<'_, M>,
        mut visit: impl FnMut(SpanHandle),
    ) {
        self.read_notices(records);
        for entry in &self.block.entries {
            self.leave_current(records, entry);
            while let Some(handle) = NonZeroU32::new(entry.first.get()).map(SpanHandle) {
                let span = records.get(handle);
                self.disown(records, handle, span, span.record.tag().place());
                visit(handle);
            }
        }
    }

    /// Gives up the spans that are kept and empty, each to `visit`.
    pub(crate) fn give_up_kept<M: Machine>(
        &self,
        records: Records<'_, M>,
        mut visit: impl FnMut(Emptied),
    ) {
        for kept in &self.block.kept {
            if let Some(handle) = NonZeroU32::new(kept.replace(0)).map(SpanHandle) {
                if let Some(emptied) = self.give_up_if_empty(records, handle) {
                    visit(emptied);
                }
            }
        }
    }

    fn live_slots(&self, span: SpanRef<'_>, entry: &Entry) -> u16 {
        let live = span.count_taken(usize::from(entry.slots.get()));
        u16::try_from(live).unwrap_or(u16::MAX)
    }

    fn push<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        span: SpanRef<'_>,
        place: Place,
    ) {
        self.push_entry(records, handle, span.record, self.entry(place));
    }

    /// Puts a span in front of the queue.
    fn push_entry<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        record: &Record,
        entry: &Entry,
    ) {
        let next = entry.first.replace(handle.0.get());
        record.next.store(next, Ordering::Relaxed);
        record.previous.store(0, Ordering::Relaxed);
        if let Some(next) = NonZeroU32::new(next).map(SpanHandle) {
            records
                .get(next)
                .record
                .previous
                .store(handle.0.get(), Ordering::Relaxed);
        }
    }

    /// Takes a span out of the queue.
    fn unlink<M: Machine>(&self, records: Records<'_, M>, entry: &Entry, record: &Record) {
        let next = record.next.load(Ordering::Relaxed);
        let previous = record.previous.load(Ordering::Relaxed);
        match NonZeroU32::new(previous).map(SpanHandle) {
            Some(before) => records
                .get(before)
                .record
                .next
                .store(next, Ordering::Relaxed),
            None => entry.first.set(next),
        }
        if let Some(after) = NonZeroU32::new(next).map(SpanHandle) {
            records
                .get(after)
                .record
                .previous
                .store(previous, Ordering::Relaxed);
        }
    }
}
