//! Empty spans: kept for the next spans of any class, or given up.

use core::sync::atomic::Ordering;

use archipelago_api::Machine;

use super::super::record::Record;
use super::super::records::Records;
use super::block::{Emptied, Entered};
use super::entry::ClassSpans;
use super::places::{LONGEST, Place};
use crate::arena::SpanHandle;

/// Pages of all spans that a CPU keeps beside those that are current.
pub(super) const MOST_PAGES: usize = 64;

impl Entered<'_> {
    /// Keeps an empty span that is current or in the queue. With the `Emptied` a span is nobody's.
    pub(super) fn keep<M: Machine>(
        &self,
        records: Records<'_, M>,
        (handle, record): (SpanHandle, &Record),
        entry: &ClassSpans,
    ) -> Option<Emptied> {
        if entry.current.get() == handle.0.get() {
            if entry.first().is_none() {
                self.keep_current(record);
                return None;
            }
            entry.dry_up();
        } else {
            entry.queue_mut(|queue| queue.unlink(records, handle));
        }
        let kept = &self.block.kept;
        let pages = usize::from(entry.pages.get());
        let all = kept.pages.get() + pages;
        // The span would be given up at once if more than half of all pages are of its length.
        if all > MOST_PAGES && 2 * (kept.count(pages) + 1) * pages > all {
            record.previous.store(0, Ordering::Relaxed);
            return Some(self.give_up(records, handle));
        }
        self.keep_aside(records, (handle, record), entry);
        if all <= MOST_PAGES {
            return None;
        }
        let handle = kept.pop(records, kept.most())?;
        Some(self.give_up(records, handle))
    }

    /// Notes that a current span is empty, which stays current.
    #[inline(always)]
    pub(super) fn keep_current(&self, record: &Record) {
        self.block
            .kept
            .note_current(Place::of_tag(record.tag()), true);
    }

    /// Keeps an empty span that is on no list, however many are kept.
    pub(super) fn keep_aside<M: Machine>(
        &self,
        records: Records<'_, M>,
        (handle, record): (SpanHandle, &Record),
        entry: &ClassSpans,
    ) {
        record.previous.store(0, Ordering::Relaxed);
        // What it has when its class changes.
        let slots = entry.slots.get();
        record.free_slots.store(slots, Ordering::Relaxed);
        let kept = &self.block.kept;
        kept.push(records, handle, usize::from(entry.pages.get()));
    }

    /// Takes an empty span of `pages` pages that `fits`. It is on no list.
    pub(crate) fn take_kept<M: Machine>(
        &self,
        records: Records<'_, M>,
        pages: usize,
        fits: impl Fn(&Record) -> bool,
    ) -> Option<SpanHandle> {
        let kept = &self.block.kept;
        if let Some(handle) = kept.pop(records, pages) {
            if fits(records.get(handle).record) {
                return Some(handle);
            }
            // Rare: a class of so many slots that most records have no room for them.
            kept.push(records, handle, pages);
        }
        let mut place = Place::NONE;
        while let Some(next) = kept.next_current(place) {
            place = next;
            let entry = self.entry(place);
            if usize::from(entry.pages.get()) != pages {
                continue;
            }
            let current = entry.current();
            if current.is_some_and(|handle| fits(records.record(handle))) {
                kept.note_current(place, false);
                if let Some(handle) = self.take_current(records, entry) {
                    // What it has when its class changes.
                    let slots = entry.slots.get();
                    let record = records.get(handle).record;
                    record.free_slots.store(slots, Ordering::Relaxed);
                    return Some(handle);
                }
            }
        }
        None
    }

    /// Takes the current span of a place if it is empty. It is on no list then.
    fn take_current<M: Machine>(
        &self,
        records: Records<'_, M>,
        entry: &ClassSpans,
    ) -> Option<SpanHandle> {
        if !entry.may_be_empty() {
            return None;
        }
        let handle = entry.current()?;
        let span = records.get(handle);
        if self.live_slots(span, entry) != 0 {
            return None;
        }
        entry.dry_up();
        Some(handle)
    }

    /// Keeps the current spans that are empty as the others, for any class. Returns the pages of
    /// all spans that are kept.
    pub(crate) fn collect_kept<M: Machine>(&self, records: Records<'_, M>) -> usize {
        let kept = &self.block.kept;
        let mut place = Place::NONE;
        while let Some(next) = kept.next_current(place) {
            place = next;
            self.keep_if_empty(records, self.entry(place));
        }
        for bits in &kept.currents {
            bits.set(0);
        }
        kept.pages.get()
    }

    /// Keeps all current spans that are empty, also those that nobody has found so yet.
    pub(crate) fn collect_all<M: Machine>(&self, records: Records<'_, M>) {
        for entry in &self.block.entries {
            self.keep_if_empty(records, entry);
        }
    }

    fn keep_if_empty<M: Machine>(&self, records: Records<'_, M>, entry: &ClassSpans) {
        if let Some(handle) = self.take_current(records, entry) {
            self.keep_aside(records, (handle, records.get(handle).record), entry);
        }
    }

    /// Gives up empty spans, the longest first, each to `visit`, until those that are kept have no
    /// more than `most` pages.
    pub(crate) fn give_up_kept<M: Machine>(
        &self,
        records: Records<'_, M>,
        most: usize,
        mut visit: impl FnMut(Emptied),
    ) {
        self.collect_kept(records);
        let kept = &self.block.kept;
        for pages in (1..=LONGEST).rev() {
            while kept.pages.get() > most {
                let Some(handle) = kept.pop(records, pages) else {
                    break;
                };
                visit(self.give_up(records, handle));
            }
        }
    }

    fn give_up<M: Machine>(&self, records: Records<'_, M>, handle: SpanHandle) -> Emptied {
        self.disown::<M>(records.record(handle));
        Emptied(handle)
    }
}
