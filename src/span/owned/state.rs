//! The state of a span that a CPU owns: current, in the queue of its class, full, or empty.

use core::sync::atomic::Ordering;

use archipelago_api::Machine;

use super::super::record::{Record, WORD_BITS};
use super::super::records::Records;
use super::super::slots::SpanRef;
use super::atomics::swap_number;
use super::block::Entered;
use super::credit::{FULL, credit_of_full};
use super::entry::ClassSpans;
use super::places::{Place, remote_words};
use super::tag::Tag;
use crate::arena::SpanHandle;

impl Entered<'_> {
    /// Gives up a span that is on no list, and may have live slots, unless somebody is freeing one
    /// of them remotely; `false` then, and the span stays. The caller holds the central lock.
    pub(super) fn hand_over<M: Machine>(&self, span: SpanRef<'_>, place: Place) -> bool {
        let record = span.record;
        swap_number(&record.tag, Tag::NONE.0, Ordering::AcqRel);
        let slots = usize::from(self.entry(place).slots.get());
        let mut words = 0..slots.div_ceil(WORD_BITS);
        let is_any = |at: usize| span.word(at + remote_words(slots)).load(Ordering::Relaxed) != 0;
        if words.any(is_any) {
            let tag = self.tag(place).0 | Tag::REMOTE;
            swap_number(&record.tag, tag, Ordering::AcqRel);
            return false;
        }
        let live = self.live_slots(span, self.entry(place));
        self.forget::<M>(record, place, live);
        true
    }

    /// Gives up a span that was seen to have hidden slots, if it is this block's and still has;
    /// `false` if it stays. The caller holds the central lock.
    pub(crate) fn give_up_full<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
    ) -> bool {
        let span = records.get(handle);
        let place = Place::of_tag(span.record.tag());
        let is_own = span.record.tag().is_of_same_owner(self.tag(place));
        let slots = usize::from(self.entry(place).slots.get());
        is_own && has_hidden_slots(span, slots) && self.hand_over::<M>(span, place)
    }

    /// Gives up an empty span that is on no list: it is nobody's now.
    pub(super) fn disown<M: Machine>(&self, record: &Record) {
        let place = Place::of_tag(record.tag());
        record.tag.store(Tag::NONE.0, Ordering::Relaxed);
        self.forget::<M>(record, place, 0);
    }

    /// Forgets a span with so many live slots, whose record counts its slots from now on.
    fn forget<M: Machine>(&self, record: &Record, place: Place, live: u16) {
        self.block.map.clear::<M>(record.run::<M>());
        let slots = self.entry(place).slots.get();
        record.free_slots.store(slots - live, Ordering::Relaxed);
        record.fresh_slot.store(slots, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) fn mark_full(&self, record: &Record, entry: &ClassSpans) {
        record.previous.store(FULL, Ordering::Relaxed);
        record
            .free_slots
            .store(entry.full_credit.get(), Ordering::Relaxed);
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

/// Whether a span of `slots` slots is a CPU's, is full or was until a short while ago, and has free
/// slots now. Anybody may ask; the answer may be out of date.
pub(crate) fn has_hidden_slots(span: SpanRef<'_>, slots: usize) -> bool {
    let record = span.record;
    record.tag().owner().is_some()
        && record.previous.load(Ordering::Relaxed) == FULL
        && span.count_taken(slots) < slots
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
