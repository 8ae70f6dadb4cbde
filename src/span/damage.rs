//! Damage that tests of `verify()` do to span records and their pool.

use core::sync::atomic::Ordering::Relaxed;

use super::pool::Pool;
use super::record::{Record, WORD_BITS};
use super::records::RecordKind;

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

    pub(crate) fn plant_previous(&self, handle: u32) {
        self.previous.store(handle, Relaxed);
    }
}

impl Pool {
    pub(super) fn plant_count(&mut self, more: usize) {
        self.stock(RecordKind::Narrow).count += more;
    }
}
