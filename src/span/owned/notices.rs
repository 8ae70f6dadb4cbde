//! Slots of a CPU beyond its current words: of other spans, and of those that others have freed.

use core::num::NonZeroU32;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use archipelago_api::Machine;

use super::super::list::RecordList;
use super::super::record::WORD_BITS;
use super::super::records::Records;
use super::super::slots::SpanRef;
use super::atomics::{keep_in_number, keep_in_word, set_in_number, swap_mask};
use super::block::{Emptied, Entered};
use super::credit::{FEW_SLOTS, FULL, LOOK};
use super::entry::ClassSpans;
use super::frees::add_credit;
use super::places::{Place, remote_words};
use super::tag::Tag;
use crate::arena::SpanHandle;
use crate::base::sync::CoreUsize as AtomicUsize;

impl Entered<'_> {
    /// Takes a slot of the first span in the queue of `place`, whose current word is used up, if a
    /// span of the place has one word. The short way of [`take_more`](Self::take_more).
    #[inline(always)]
    pub(crate) fn take_next<M: Machine>(
        &self,
        records: Records<'_, M>,
        place: Place,
    ) -> Option<NonNull<u8>> {
        let entry = self.entry(place);
        if !entry.has_one_word() {
            return None;
        }
        let record = records.record(self.start_next(records, entry)?);
        // SAFETY: the span is this CPU's.
        let start = unsafe { records.start_of(record) };
        // SAFETY: the span is the current one now, and begins there.
        unsafe { entry.take_from_first(record, start) };
        entry.take()
    }

    /// Takes a slot of `place`, whose current word is used up: of another word, of a span in the
    /// queue, or of one that others have freed slots of.
    #[inline(always)]
    pub(crate) fn take_more<M: Machine>(
        &self,
        records: Records<'_, M>,
        place: Place,
    ) -> Option<NonNull<u8>> {
        let entry = self.entry(place);
        if let Some(taken) = entry.take() {
            return Some(taken);
        }
        if let Some(handle) = entry.current().filter(|_| !entry.has_one_word()) {
            if self.next_word(records, records.get(handle), entry) {
                return entry.take();
            }
        }
        if entry.first().is_none() && !self.block.inbox.is_empty() {
            self.read_notices(records);
            // Slots of the current span may be among those that were taken back.
            self.leave_current(records, entry);
        }
        let span = records.get(self.start_next(records, entry)?);
        self.next_word(records, span, entry);
        entry.take()
    }

    /// Makes the first span of the queue the current one, without its word; the one that was
    /// current is full.
    #[inline(always)]
    fn start_next<M: Machine>(
        &self,
        records: Records<'_, M>,
        entry: &ClassSpans,
    ) -> Option<SpanHandle> {
        let handle = entry.pop(records)?;
        let slots = entry.slots.get();
        if let Some(full) = entry.current() {
            self.mark_full(records.record(full), entry);
        }
        let record = records.record(handle);
        if slots > FEW_SLOTS {
            // SAFETY: the span is the CPU's, and the block is entered.
            unsafe { add_credit(record, LOOK) };
        }
        record.previous.store(0, Ordering::Relaxed);
        entry.current.set(handle.0.get());
        Some(handle)
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
        let place = Place::of_tag(record.tag());
        let entry = self.entry(place);
        let slots = usize::from(entry.slots.get());
        let posted = swap_mask(record.posted(), 0, Ordering::Acquire);
        let words = slots.div_ceil(WORD_BITS);
        let mut count = 0;
        for at in (0..words).filter(|at| posted >> at & 1 != 0) {
            count += take_word_back(span.word(at), span.word(at + remote_words(slots)));
        }
        // Who set the mark has set a bit before, which is seen then.
        keep_in_number(&record.tag, !Tag::REMOTE, Ordering::Acquire);
        let is_any = |at: usize| span.word(at + remote_words(slots)).load(Ordering::Relaxed) != 0;
        if (0..words).any(is_any) {
            set_in_number(&record.tag, Tag::REMOTE, Ordering::Relaxed);
        }
        if count == 0 {
            return;
        }
        if entry.current.get() == handle.0.get() {
            if self.live_slots(span, entry) == 0 {
                self.keep_current(record);
            }
            return;
        }
        let live = self.live_slots(span, entry);
        let is_full = record.previous.load(Ordering::Relaxed) == FULL;
        if live == 0 {
            if !is_full {
                entry.queue_mut(|queue| queue.unlink(records, handle));
            }
            self.keep_aside(records, (handle, record), entry);
            return;
        }
        if is_full {
            self.push(records, handle, record, entry);
        }
        record.free_slots.store(live, Ordering::Relaxed);
    }

    /// Gives up all spans but those without free slots, each to `visit`, with what `lock` returns:
    /// the central lock, which is held for one span at a time.
    pub(crate) fn drain<M: Machine, L>(
        &self,
        records: Records<'_, M>,
        lock: impl Fn() -> L,
        mut visit: impl FnMut(&mut L, SpanHandle),
    ) {
        self.read_notices(records);
        for entry in &self.block.entries {
            self.leave_current(records, entry);
            let mut stay = RecordList::EMPTY;
            while let Some(handle) = entry.pop(records) {
                let span = records.get(handle);
                let mut lists = lock();
                if self.hand_over::<M>(span, Place::of_tag(span.record.tag())) {
                    visit(&mut lists, handle);
                } else {
                    stay.link(records, handle);
                }
            }
            entry.queue_mut(|queue| *queue = stay);
        }
        self.give_up_kept(records, 0, |Emptied(handle)| visit(&mut lock(), handle));
    }
}

/// Takes back the slots that have their bits in a word of remote bits, and returns how many. The
/// word is empty then.
fn take_word_back(word: &AtomicUsize, remote: &AtomicUsize) -> u32 {
    let mut count = 0;
    loop {
        let freed = remote.load(Ordering::Relaxed);
        let live = word.load(Ordering::Relaxed);
        debug_assert_eq!(freed & !live, 0, "a slot is freed once");
        // First: a slot whose remote bit alone is cleared would be live for who frees it again.
        word.store(live & !freed, Ordering::Relaxed);
        count += (freed & live).count_ones();
        // Others do not post a word that is not empty, so what they have freed meanwhile is taken
        // back, too.
        if keep_in_word(remote, !freed, Ordering::AcqRel) & !freed == 0 {
            return count;
        }
    }
}
