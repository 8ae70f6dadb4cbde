//! The way of a CPU's spans from one state to the next.

use core::sync::atomic::Ordering;

use archipelago_api::Machine;

use super::super::record::WORD_BITS;
use super::super::records::Records;
use super::super::slots::SpanRef;
use super::atomics::swap_number;
use super::block::{Emptied, Entered};
use super::credit::{FULL, LOOK, credit_of_current};
use super::entry::ClassSpans;
use super::places::Place;
use crate::arena::SpanHandle;

impl Entered<'_> {
    /// Looks at a span that has had as many frees as it was to have.
    #[inline(always)]
    pub(super) fn credit_is_spent<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
    ) -> Option<Emptied> {
        let span = records.get(handle);
        let record = span.record;
        let entry = self.entry(Place::of_tag(record.tag()));
        if record.previous.load(Ordering::Relaxed) == FULL {
            // All of the credit of a full span was spent, and no slot of it was taken meanwhile.
            let slots = entry.slots.get();
            let live = slots - entry.full_credit.get();
            self.push(records, handle, record, entry);
            if live == 0 {
                return self.keep(records, (handle, record), entry);
            }
            record.free_slots.store(live, Ordering::Relaxed);
            return None;
        }
        self.look_again(records, (handle, span), entry)
    }

    /// Looks at a span that is current or in the queue.
    #[inline(never)]
    fn look_again<M: Machine>(
        &self,
        records: Records<'_, M>,
        (handle, span): (SpanHandle, SpanRef<'_>),
        entry: &ClassSpans,
    ) -> Option<Emptied> {
        let record = span.record;
        let live = self.live_slots(span, entry);
        if live == 0 {
            record.free_slots.store(LOOK, Ordering::Relaxed);
            return self.keep(records, (handle, record), entry);
        }
        let is_current = entry.current.get() == handle.0.get();
        // Queued spans only get frees, so that this finds the very last.
        let credit = if is_current {
            credit_of_current(live, entry.slots.get())
        } else {
            live
        };
        record.free_slots.store(credit, Ordering::Relaxed);
        None
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
        // Exchanged, because others may mark it who have not seen yet that it was handed over; and
        // with release, so that who finds the CPU's tag posts to the mask that was emptied before.
        swap_number(&span.record.tag, self.tag(place).0, Ordering::Release);
        let run = span.record.run::<M>();
        self.block.map.enter::<M>(run, records.place(handle));
        self.leave_current(records, entry);
        self.make_current(records, handle, span, entry);
    }

    /// Makes a new span this block's, and the current one of its place.
    #[inline(always)]
    pub(crate) fn own_new<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        place: Place,
    ) {
        let run = records.get(handle).record.run::<M>();
        self.start(records, handle, place);
        self.block.map.enter::<M>(run, records.place(handle));
    }

    /// Makes an empty span of this block, which is on no list, the current one of `place`.
    #[inline(always)]
    pub(crate) fn start<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        place: Place,
    ) {
        let entry = self.entry(place);
        let record = records.get(handle).record;
        record.tag.store(self.tag(place).0, Ordering::Release);
        if entry.has_one_word() && entry.is_used_up() {
            if let Some(full) = entry.current() {
                self.mark_full(records.record(full), entry);
            }
        } else {
            self.leave_current(records, entry);
        }
        let credit = credit_of_current(0, entry.slots.get());
        record.free_slots.store(credit, Ordering::Relaxed);
        record.previous.store(0, Ordering::Relaxed);
        entry.current.set(handle.0.get());
        // SAFETY: the span is this CPU's.
        let start = unsafe { records.start_of(record) };
        // SAFETY: the span is the current one now, and begins there.
        unsafe { entry.take_from_first(record, start) };
    }

    /// Puts the current span aside: in the queue if it has free slots, else as a full one.
    pub(super) fn leave_current<M: Machine>(&self, records: Records<'_, M>, entry: &ClassSpans) {
        let Some(handle) = entry.current() else {
            return;
        };
        entry.dry_up();
        let span = records.get(handle);
        let live = self.live_slots(span, entry);
        let slots = entry.slots.get();
        if live < slots {
            self.push(records, handle, span.record, entry);
            span.record.free_slots.store(live.max(1), Ordering::Relaxed);
        } else {
            self.mark_full(span.record, entry);
        }
    }

    pub(super) fn make_current<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        span: SpanRef<'_>,
        entry: &ClassSpans,
    ) {
        let live = self.live_slots(span, entry);
        span.record.free_slots.store(
            credit_of_current(live, entry.slots.get()),
            Ordering::Relaxed,
        );
        span.record.previous.store(0, Ordering::Relaxed);
        entry.current.set(handle.0.get());
        self.next_word(records, span, entry);
    }

    /// Takes slots from the first word of the span that has free ones.
    #[inline(always)]
    pub(super) fn next_word<M: Machine>(
        &self,
        records: Records<'_, M>,
        span: SpanRef<'_>,
        entry: &ClassSpans,
    ) -> bool {
        let slots = usize::from(entry.slots.get());
        for at in 0..slots.div_ceil(WORD_BITS) {
            let in_word = (slots - at * WORD_BITS).min(WORD_BITS);
            let full = usize::MAX >> (WORD_BITS - in_word);
            let word = span.word(at);
            if word.load(Ordering::Relaxed) == full {
                continue;
            }
            // SAFETY: the span is this CPU's.
            let start = unsafe { records.start_of(span.record) };
            // SAFETY: the slot of the word's first bit lies in the span.
            let base = unsafe { start.add(at * WORD_BITS * entry.size()) };
            // SAFETY: 1. the word is the current span's; 2. base and value are as said.
            unsafe { entry.take_from(word, full, base.as_ptr()) };
            return true;
        }
        false
    }
}
