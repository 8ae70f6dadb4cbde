//! Damage that tests of `verify()` do to the central lists, to span records and to their pool.

use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::Machine;

use super::central::{KEPT_SPANS, Lists};
use super::counts::SpanCounts;
use super::list::RecordList;
use super::pool::Pool;
use super::record::{Kind, Record, WORD_BITS};
use super::records::{RecordKind, Records};

impl Lists {
    pub(crate) fn plant_counts(&mut self) -> &mut SpanCounts {
        &mut self.counts
    }

    pub(crate) fn plant_partial_list(&mut self, class: u8, first: u32) {
        self.partial[usize::from(class)] = RecordList { first };
    }

    pub(crate) fn plant_kept(&mut self, kept: u32) {
        self.kept_spans[KEPT_SPANS - 1] = kept;
    }

    pub(crate) fn plant_none_kept(&mut self) {
        self.kept_spans = [0; KEPT_SPANS];
    }

    pub(crate) fn plant_pool_kind<M: Machine>(&mut self, records: Records<'_, M>) {
        if let Some(handle) = self.pool.alloc(records, RecordKind::Narrow) {
            let record = records.get(handle).record;
            self.pool.free(records, handle);
            record.describe::<M>(Kind::Large, record.run::<M>(), 0, false);
        }
    }

    pub(crate) fn plant_pool_count(&mut self, more: usize) {
        self.pool.plant_count(more);
    }
}

impl Record {
    pub(crate) fn plant_free_slots(&self, more: u16) {
        self.free_slots.fetch_add(more, Relaxed);
    }

    pub(crate) fn plant_bit(&self, slot: usize) {
        self.bits[slot / WORD_BITS].fetch_or(1 << (slot % WORD_BITS), Relaxed);
    }

    pub(crate) fn plant_fresh_slot(&self, slot: u16) {
        self.fresh_slot.store(slot, Relaxed);
    }

    pub(crate) fn plant_tag(&self, more: u32) {
        self.tag.fetch_add(more, Relaxed);
    }

    pub(crate) fn plant_previous(&self, handle: u32) {
        self.previous.store(handle, Relaxed);
    }
}

impl Pool {
    pub(super) fn plant_count(&mut self, more: usize) {
        self.stock(RecordKind::Narrow).count += more;
    }
}
