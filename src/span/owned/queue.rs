//! The spans of a CPU by their state: current, in the queue of their class, full, or empty.
//!
//! A span has **credit**: so many frees until somebody looks at it. That of a span in the queue is
//! the number of its live slots, so that the free which empties it finds it empty. A full span is
//! on no list, and comes into the queue when its credit is spent. The current span is looked at now
//! and then.

use core::num::NonZeroU32;
use core::sync::atomic::Ordering;

use archipelago_api::Machine;

use super::super::record::{Record, WORD_BITS};
use super::super::records::Records;
use super::super::slots::SpanRef;
use super::block::{Emptied, Entered, KEPT};
use super::entry::ClassSpans;
use super::places::Place;
use super::tag::Tag;
use crate::arena::SpanHandle;

/// Frees after which a current span is looked at that may be empty.
pub(super) const LOOK: u16 = 8;
/// Spans of so many slots or fewer are queued at their first free, others after a quarter.
pub(super) const FEW_SLOTS: u16 = 16;
/// The link back of a span that is full and not in the queue.
pub(super) const FULL: u32 = u32::MAX;

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
            let live = slots - credit_of_full(slots);
            self.push(records, handle, record, entry);
            if live == 0 {
                return self.keep(records, handle, record);
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
            return self.keep(records, handle, record);
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

    /// Keeps an empty span, and gives up the one that was kept longest, if it is still empty.
    pub(super) fn keep<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        record: &Record,
    ) -> Option<Emptied> {
        record.free_slots.store(LOOK, Ordering::Relaxed);
        let block = self.block;
        if block.kept.iter().any(|kept| kept.get() == handle.0.get()) {
            return None;
        }
        let next = block.next_kept.get();
        block.next_kept.set((next + 1) % KEPT);
        let oldest = block.kept[next].replace(handle.0.get());
        let oldest = NonZeroU32::new(oldest).map(SpanHandle)?;
        self.give_up_if_empty(records, oldest)
    }

    /// Gives up a span that is kept, is empty, and whose record `fits`.
    pub(crate) fn give_up_kept_one<M: Machine>(
        &self,
        records: Records<'_, M>,
        fits: impl Fn(&Record) -> bool,
    ) -> Option<Emptied> {
        let kept = self.block.kept.iter();
        let handles = kept.filter_map(|kept| NonZeroU32::new(kept.get()).map(SpanHandle));
        let mut fitting = handles.filter(|handle| fits(records.get(*handle).record));
        fitting.find_map(|handle| self.give_up_if_empty(records, handle))
    }

    /// Gives a span up that is of this block and empty.
    pub(super) fn give_up_if_empty<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
    ) -> Option<Emptied> {
        let span = records.get(handle);
        let tag = span.record.tag();
        if !self.block.owns(tag) {
            return None;
        }
        let entry = self.entry(Place::of_tag(tag));
        if self.live_slots(span, entry) != 0 {
            return None;
        }
        self.disown(records, handle, span, Place::of_tag(tag));
        Some(Emptied(handle))
    }

    /// Gives a span up, whatever it holds: it is nobody's now, and its record counts its slots.
    pub(super) fn disown<M: Machine>(
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
            entry.queue_mut(|queue| queue.unlink(records, handle));
        }
        self.block.map.clear::<M>(record.run::<M>());
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
        let run = span.record.run::<M>();
        self.block.map.enter::<M>(run, records.place(handle));
        self.leave_current(records, entry);
        self.make_current(records, handle, span, entry);
    }

    /// Puts the current span aside: in the queue if it has free slots, else as a full one.
    pub(super) fn leave_current<M: Machine>(&self, records: Records<'_, M>, entry: &ClassSpans) {
        let Some(handle) = NonZeroU32::new(entry.current.get()).map(SpanHandle) else {
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
            self.mark_full(span.record, slots);
        }
    }

    #[inline(always)]
    pub(super) fn mark_full(&self, record: &Record, slots: u16) {
        record.previous.store(FULL, Ordering::Relaxed);
        record
            .free_slots
            .store(credit_of_full(slots), Ordering::Relaxed);
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
            let first = span.record.base::<M>();
            let start = records.machine().pointer(first);
            // SAFETY: the slot of the word's first bit lies in the span.
            let base = unsafe { start.add(at * WORD_BITS * entry.size()) };
            // SAFETY: 1. the word is the current span's; 2. base and value are as said.
            unsafe { entry.take_from(word, full, base.as_ptr()) };
            return true;
        }
        false
    }

    pub(super) fn live_slots(&self, span: SpanRef<'_>, entry: &ClassSpans) -> u16 {
        let live = span.count_taken(usize::from(entry.slots.get()));
        u16::try_from(live).unwrap_or(u16::MAX)
    }

    /// Puts a span in front of the queue.
    pub(super) fn push<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        record: &Record,
        entry: &ClassSpans,
    ) {
        record.previous.store(0, Ordering::Relaxed);
        entry.queue_mut(|queue| queue.link(records, handle));
    }
}

/// The frees after which a full span of `slots` slots comes into the queue.
#[inline(always)]
pub(super) const fn credit_of_full(slots: u16) -> u16 {
    if slots <= FEW_SLOTS { 1 } else { slots / 4 }
}

/// The frees after which a current span with `live` live slots of `slots` is looked at: when it may
/// be empty, or, where looking costs more than the memory is worth, a little later.
#[inline(always)]
pub(super) const fn credit_of_current(live: u16, slots: u16) -> u16 {
    let least = if slots <= FEW_SLOTS { 1 } else { LOOK };
    if live > least { live } else { least }
}

/// Whether a span that is a CPU's, of `slots` slots, has as many live ones as its credit says, if
/// it is full or was until a short while ago.
pub(crate) fn full_is_counted(span: SpanRef<'_>, slots: usize) -> bool {
    let record = span.record;
    if record.previous.load(Ordering::Relaxed) != FULL {
        return true;
    }
    let slots = u16::try_from(slots).unwrap_or(u16::MAX);
    let credit = record.free_slots.load(Ordering::Relaxed);
    let freed = credit_of_full(slots).checked_sub(credit);
    freed.is_some_and(|freed| span.count_taken(slots.into()) == usize::from(slots - freed))
}
