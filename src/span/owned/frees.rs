//! Frees by the CPU that owns the span.

use core::sync::atomic::Ordering;

use archipelago_api::Machine;

use super::super::record::WORD_BITS;
use super::super::records::Records;
use super::super::slots::SpanRef;
use super::block::{Emptied, Entered};
use super::places::Place;
use crate::arena::SpanHandle;

impl Entered<'_> {
    /// Frees the slot that begins `offset` bytes above the first of the span, whose record has the
    /// tag of this block and `place`. With the `Emptied` the span is nobody's.
    ///
    /// # Errors
    /// No slot begins there that is live; nothing has changed.
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
}
