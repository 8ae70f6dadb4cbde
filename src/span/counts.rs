//! Counts of spans and of refused requests. Live objects are counted from them: a request for a
//! slot counts nothing.

use archipelago_api::Machine;

use super::class_table::table;
use super::record::{Kind, Record};

/// Counts of spans, which change when a span is made or retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanCounts {
    /// Slots of all small spans, live or free.
    pub(crate) slots: usize,
    /// Bytes of small spans that belong to no slot.
    pub(crate) tail_bytes: usize,
    /// Large objects.
    pub(crate) large_objects: usize,
    /// Requests that were refused.
    pub(crate) refusals: usize,
}

impl SpanCounts {
    pub(super) const NONE: Self = Self {
        slots: 0,
        tail_bytes: 0,
        large_objects: 0,
        refusals: 0,
    };

    /// Counts the small span of `record`, none of whose slots is taken, or, unless `more`, one
    /// less.
    pub(super) fn count_small<M: Machine>(&mut self, record: &Record, more: bool) {
        let table = table(M::GEOMETRY.page_shift);
        let (Kind::Small(number), Some(table)) = (record.kind(), table) else {
            return;
        };
        let (slots, bytes) = (record.free_slots(), record.run::<M>().bytes::<M>());
        let slot_bytes = table.class(number).map_or(0, |class| table.size(class));
        let tail_bytes = bytes - slots * slot_bytes;
        let step = |by: usize| if more { by } else { by.wrapping_neg() };
        self.slots = self.slots.wrapping_add(step(slots));
        self.tail_bytes = self.tail_bytes.wrapping_add(step(tail_bytes));
    }
}
