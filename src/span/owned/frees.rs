//! Frees by the CPU that owns the span.

use archipelago_api::{Machine, VirtAddr};

use super::super::record::{Record, WORD_BITS};
use super::super::records::Records;
use super::super::slots::SpanRef;
use super::block::{Emptied, Entered};
use super::credit::{FULL, credit_of_current};
use super::entry::ClassSpans;
use super::map::MappedSpan;
use super::places::Place;
use super::tag::Tag;
use crate::arena::SpanHandle;
use crate::base::sync::{CoreUsize as AtomicUsize, Ordering, add_alone};

/// Whether a free at once takes the caller's word for it that a live object begins at the address.
const TRUSTING: bool = cfg!(feature = "trusting");

/// The outcome of a free that the owner makes at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OwnFree {
    /// The slot is free.
    Done,
    /// The slot is free, and the span is to be looked at.
    Spent(MappedSpan),
    /// The page is that of this span, which is another CPU's, or one that others have freed slots
    /// of, or nobody's; nothing has changed. Those of the CPU alone have this tag in the place.
    Elsewhere(MappedSpan, Tag),
    /// The address is not that of a live slot of the place in a span of the CPU's, or with the
    /// feature `trusting` not in such a span; nothing has changed.
    Refused,
}

impl Entered<'_> {
    /// Frees the slot at `address`, if it is one of `place` in a span of this block. With the
    /// feature `trusting`, the slot around `address`, live or not, if its span is such a one.
    ///
    /// # Safety
    /// If an object begins there, it is the caller's.
    #[inline(always)]
    pub(crate) unsafe fn free_at<M: Machine>(&self, address: VirtAddr, place: Place) -> OwnFree {
        let Some(span) = self.block.map.find::<M>(address) else {
            return OwnFree::Refused;
        };
        // SAFETY: the caller's object keeps the span in use. Without one, the page is named as long
        // as a CPU owns the span, which needs a second free of the object at the same time to end.
        let record = unsafe { span.record() };
        if record.tag() != self.tag(place) {
            return OwnFree::Elsewhere(span, self.tag_again(place));
        }
        // SAFETY: as long as a CPU owns the span, its first page is read alone.
        let base = unsafe { record.base_at_once() };
        let offset = address.value().wrapping_sub(base);
        let entry = self.entry(place);
        let slot = if TRUSTING {
            entry.slot_around(offset)
        } else {
            match entry.slot_at(offset) {
                Some(slot) => slot,
                None => return OwnFree::Refused,
            }
        };
        // SAFETY:
        // - the record is the CPU's, which alone gives it up;
        // - the page is the span's, which is of the class of the place, so that the slot is one of
        //   the span's or the one behind the last, whichever byte of it the address is.
        let word = unsafe { span.word(slot) };
        if TRUSTING {
            clear_bit(word, slot);
        } else if !clear_live(word, slot) {
            return OwnFree::Refused;
        }
        // SAFETY: the record is the CPU's, and the block is entered.
        if unsafe { spend(record) } {
            return OwnFree::Spent(span);
        }
        OwnFree::Done
    }

    /// Whether the slot at `address` is a live one of `place` in a span of this block that the CPU
    /// alone has freed slots of.
    ///
    /// # Safety
    /// If an object begins there, it is the caller's.
    #[inline]
    pub(crate) unsafe fn is_live_at<M: Machine>(&self, address: VirtAddr, place: Place) -> bool {
        let Some(span) = self.block.map.find::<M>(address) else {
            return false;
        };
        // SAFETY: as in `free_at`.
        let record = unsafe { span.record() };
        if record.tag() != self.tag(place) {
            return false;
        }
        let offset = address.value().wrapping_sub(record.base::<M>().value());
        let Some(slot) = self.entry(place).slot_at(offset) else {
            return false;
        };
        // SAFETY: as in `free_at`.
        let word = unsafe { span.word(slot) };
        word.load(Ordering::Relaxed) >> (slot % WORD_BITS) & 1 != 0
    }

    /// Frees a slot of a span of this block. With the `Emptied` a span is nobody's.
    ///
    /// # Errors
    /// The slot is not live; nothing has changed.
    /// # Safety
    /// If there is a live slot, it is the caller's.
    pub(crate) unsafe fn free_slot<M: Machine>(
        &self,
        records: Records<'_, M>,
        (handle, span): (SpanHandle, SpanRef<'_>),
        slot: usize,
    ) -> Result<Option<Emptied>, ()> {
        if !clear_live(span.word(slot / WORD_BITS), slot) {
            return Err(());
        }
        // SAFETY: the record is the CPU's, and the block is entered.
        if unsafe { !spend(span.record) } {
            return Ok(None);
        }
        Ok(self.credit_is_spent(records, handle))
    }

    /// Looks at a span whose credit a free has spent, and whose tag is `tag`, if that is soon done:
    /// gives the current one credit again, and puts one that was full in the queue. `false` if
    /// nothing was done.
    #[inline(always)]
    pub(crate) fn settle<M: Machine>(
        &self,
        records: Records<'_, M>,
        span: MappedSpan,
        tag: Tag,
    ) -> bool {
        // SAFETY: the span is the CPU's, which alone gives it up.
        let record = unsafe { span.record() };
        // SAFETY: the span is one of this block's.
        let entry = self.entry(unsafe { Place::of_owned(tag) });
        if record.previous.load(Ordering::Relaxed) != FULL {
            let live = record.bits[0].load(Ordering::Relaxed);
            if !entry.has_one_word() || !entry.takes_from(&record.bits[0]) || live == 0 {
                return false;
            }
            // A word has at most 64 bits.
            let live = u16::try_from(live.count_ones()).unwrap_or(u16::MAX);
            let credit = credit_of_current(live, entry.slots.get());
            record.free_slots.store(credit, Ordering::Relaxed);
            return true;
        }
        // SAFETY: the record is that of a span.
        let handle = unsafe { records.handle_at_once(record) };
        // All of the credit of a full span was spent, and no slot of it was taken meanwhile.
        let slots = entry.slots.get();
        let live = slots - entry.full_credit.get();
        if entry.has_one_word() && entry.is_used_up() {
            self.switch_to(records, (handle, record), live, entry);
            return true;
        }
        if live == 0 {
            return false;
        }
        record.previous.store(0, Ordering::Relaxed);
        entry.push(records, (handle, record));
        record.free_slots.store(live, Ordering::Relaxed);
        true
    }

    /// Makes a span that was full until now, and has `live` live slots, the current one in place of
    /// one that is full.
    #[inline(always)]
    fn switch_to<M: Machine>(
        &self,
        records: Records<'_, M>,
        (handle, record): (SpanHandle, &Record),
        live: u16,
        entry: &ClassSpans,
    ) {
        if let Some(full) = entry.current() {
            self.mark_full(records.record(full), entry);
        }
        record.previous.store(0, Ordering::Relaxed);
        let credit = credit_of_current(live, entry.slots.get());
        record.free_slots.store(credit, Ordering::Relaxed);
        entry.current.set(handle.0.get());
        // SAFETY: the span is this CPU's.
        let start = unsafe { records.start_of(record) };
        // SAFETY: the span is the current one now, and begins there.
        unsafe { entry.take_from_first(record, start) };
        if live == 0 {
            self.keep_current(record);
        }
    }

    /// Looks at a span whose credit a free has spent. With the `Emptied` a span is nobody's.
    pub(crate) fn look_at<M: Machine>(
        &self,
        records: Records<'_, M>,
        span: MappedSpan,
    ) -> Option<Emptied> {
        // SAFETY: the span is the CPU's, which alone gives it up.
        let handle = records.handle(unsafe { span.record() })?;
        self.credit_is_spent(records, handle)
    }
}

/// Clears the live bit of a slot in its word; `false` if it was not set.
#[inline(always)]
fn clear_live(word: &AtomicUsize, slot: usize) -> bool {
    let before = word.load(Ordering::Relaxed);
    // One instruction less than a test of the bit.
    let after = before & !(1 << (slot % WORD_BITS));
    if after == before {
        return false;
    }
    word.store(after, Ordering::Relaxed);
    true
}

/// Clears the live bit of a slot in its word.
#[inline(always)]
fn clear_bit(word: &AtomicUsize, slot: usize) {
    let live = word.load(Ordering::Relaxed);
    word.store(live & !(1 << (slot % WORD_BITS)), Ordering::Relaxed);
}

/// Counts a free; `true` if the span has no credit any more.
///
/// # Safety
/// The span is a CPU's whose block the caller has entered.
#[inline(always)]
unsafe fn spend(record: &Record) -> bool {
    // SAFETY: of a span that a CPU owns, nobody else reads or writes the credit.
    let left = unsafe { add_alone(&record.free_slots, 1_u16.wrapping_neg()) };
    left == 0
}

/// Gives a span of the CPU's so many frees more.
///
/// # Safety
/// As for [`spend`].
#[inline(always)]
pub(super) unsafe fn add_credit(record: &Record, more: u16) {
    // SAFETY: as for `spend`.
    unsafe { add_alone(&record.free_slots, more) };
}
