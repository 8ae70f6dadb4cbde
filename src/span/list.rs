//! Lists of records, linked through their handles.

use core::num::NonZeroU32;
use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::Machine;

use super::record::Record;
use super::records::Records;
use crate::arena::SpanHandle;

/// A list of records, each of which names its neighbours. The first one's link back is of no
/// account, so that records come and go at the front at little cost. A record is on one list at
/// most. Guarded by the central lock, or a CPU's own.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct RecordList {
    /// The first handle; 0 if there is none.
    pub(super) first: u32,
}

impl RecordList {
    /// A list without records.
    pub(super) const EMPTY: Self = Self { first: 0 };

    /// The first record.
    #[inline(always)]
    pub(super) fn first(self) -> Option<SpanHandle> {
        NonZeroU32::new(self.first).map(SpanHandle)
    }

    /// Whether the record is the only one.
    pub(super) fn is_only<M: Machine>(self, records: Records<'_, M>, handle: SpanHandle) -> bool {
        self.first() == Some(handle) && records.get(handle).record.next.load(Relaxed) == 0
    }

    /// Puts a record that is on no list in front.
    #[inline(never)]
    pub(super) fn link<M: Machine>(&mut self, records: Records<'_, M>, handle: SpanHandle) {
        self.push(records, (handle, records.get(handle).record));
    }

    /// [`link`](Self::link), in line.
    #[inline(always)]
    pub(super) fn push<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        (handle, record): (SpanHandle, &Record),
    ) {
        record.next.store(self.first, Relaxed);
        if let Some(next) = self.first() {
            let next = records.get(next).record;
            next.previous.store(handle.0.get(), Relaxed);
        }
        self.first = handle.0.get();
    }

    /// Takes the first record off the list.
    #[inline(always)]
    pub(super) fn pop<M: Machine>(&mut self, records: Records<'_, M>) -> Option<SpanHandle> {
        let first = self.first()?;
        self.first = records.get(first).record.next.load(Relaxed);
        Some(first)
    }

    /// Takes a record of this list off it.
    #[inline(never)]
    pub(super) fn unlink<M: Machine>(&mut self, records: Records<'_, M>, handle: SpanHandle) {
        let record = records.get(handle).record;
        let next = record.next.load(Relaxed);
        if self.first == handle.0.get() {
            self.first = next;
            return;
        }
        let previous = record.previous.load(Relaxed);
        if let Some(before) = NonZeroU32::new(previous).map(SpanHandle) {
            records.get(before).record.next.store(next, Relaxed);
        }
        if let Some(after) = NonZeroU32::new(next).map(SpanHandle) {
            records.get(after).record.previous.store(previous, Relaxed);
        }
    }

    /// Calls `visit` with each record, and whether its link back is to the one before it if there
    /// is one, until `visit` returns `false`, and for at most `most` records and one, so that a
    /// ring ends.
    pub(super) fn for_each<M: Machine>(
        self,
        records: Records<'_, M>,
        most: usize,
        mut visit: impl FnMut(SpanHandle, bool) -> bool,
    ) {
        let (mut next, mut before) = (self.first, 0);
        for _ in 0..=most {
            let Some(handle) = NonZeroU32::new(next).map(SpanHandle) else {
                return;
            };
            let record = records.get(handle).record;
            if !visit(
                handle,
                before == 0 || record.previous.load(Relaxed) == before,
            ) {
                return;
            }
            (before, next) = (next, record.next.load(Relaxed));
        }
    }
}
