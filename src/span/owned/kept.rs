//! Empty spans that a CPU keeps, by their pages: memory for the next spans of any class.
//!
//! They stay the CPU's, so that a free of an address in one is found to be wrong as before. They
//! are given up before free pages get memory, and above a number of pages.

use core::cell::Cell;

use archipelago_api::Machine;

use super::super::list::RecordList;
use super::super::records::Records;
use super::places::{ENTRIES, LONGEST, Place};
use crate::arena::SpanHandle;

/// The empty spans of a CPU. Touched by whoever has entered the CPU's block.
#[derive(Debug)]
pub(super) struct Kept {
    /// The spans of so many pages and one, on no other list.
    lists: [Cell<RecordList>; LONGEST],
    counts: [Cell<u16>; LONGEST],
    pub(super) pages: Cell<usize>,
    /// A bit for each place whose current span was empty when it was last looked at.
    pub(super) currents: [Cell<u64>; ENTRIES.div_ceil(64)],
}

impl Kept {
    /// Adds an empty span of `pages` pages.
    pub(super) fn push<M: Machine>(
        &self,
        records: Records<'_, M>,
        handle: SpanHandle,
        pages: usize,
    ) {
        let at = pages.wrapping_sub(1);
        let (Some(list), Some(count)) = (self.lists.get(at), self.counts.get(at)) else {
            debug_assert!(false, "no class has longer spans");
            return;
        };
        let mut changed = list.get();
        changed.link(records, handle);
        list.set(changed);
        count.set(count.get() + 1);
        self.pages.set(self.pages.get() + pages);
    }

    /// Spans of `pages` pages.
    pub(super) fn count(&self, pages: usize) -> usize {
        let count = self.counts.get(pages.wrapping_sub(1));
        count.map_or(0, |count| usize::from(count.get()))
    }

    /// Takes the span of `pages` pages that was added last.
    pub(super) fn pop<M: Machine>(
        &self,
        records: Records<'_, M>,
        pages: usize,
    ) -> Option<SpanHandle> {
        let at = pages.wrapping_sub(1);
        let (list, count) = (self.lists.get(at)?, self.counts.get(at)?);
        let mut changed = list.get();
        let handle = changed.pop(records)?;
        list.set(changed);
        count.set(count.get() - 1);
        self.pages.set(self.pages.get() - pages);
        Some(handle)
    }

    /// Notes that the current span of `place` is empty, or was not when it was looked at.
    pub(super) fn note_current(&self, place: Place, is_empty: bool) {
        let number = place.number();
        if let Some(bits) = self.currents.get(number / 64) {
            let bit = 1 << (number % 64);
            let others = bits.get() & !bit;
            bits.set(if is_empty { others | bit } else { others });
        }
    }

    /// The first place behind `after` whose current span may be empty.
    #[inline(always)]
    pub(super) fn next_current(&self, after: Place) -> Option<Place> {
        let next = after.number() + 1;
        let mut at = next / 64;
        let mut ignored = next % 64;
        while let Some(bits) = self.currents.get(at) {
            let left = bits.get() >> ignored << ignored;
            if left != 0 {
                let number = at * 64 + left.trailing_zeros() as usize;
                return Some(Place::numbered(number.to_le_bytes()[0]));
            }
            (at, ignored) = (at + 1, 0);
        }
        None
    }

    /// Pages of the spans of which there are the most pages.
    pub(super) fn most(&self) -> usize {
        let all = (1..).zip(&self.counts);
        let most = all.max_by_key(|(pages, count)| pages * usize::from(count.get()));
        most.map_or(0, |(pages, _)| pages)
    }
}
