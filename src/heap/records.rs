//! Span records: taken from the pool, or made.

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::object_heap::Heap;
use crate::arena::SpanHandle;
use crate::base::Shape;
use crate::pageheap::Online;
use crate::region::{Cause, Purpose};
use crate::span::{NARROW_SLOTS, RecordKind, Records};

/// Records made at a time: as many as fill a kilobyte, or half of a page if that is less.
const fn batch<S: Shape>() -> usize {
    let records = S::GEOMETRY.page_bytes() / 2 / RecordKind::Narrow.bytes();
    if records < 16 { records } else { 16 }
}

/// Wide records made at a time.
const WIDE_BATCH: usize = 2;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Allocates a record, and makes more where `flags` allow that.
    ///
    /// # Errors
    /// Why there is no memory for records.
    pub(super) fn alloc_record(
        &self,
        online: &Online<M>,
        kind: RecordKind,
        flags: AllocFlags,
    ) -> Result<SpanHandle, Cause> {
        let atomic = flags.contains(AllocFlags::ATOMIC);
        loop {
            if let Some(handle) = self.unused_record(online, kind, atomic) {
                return Ok(handle);
            }
            if flags.contains(AllocFlags::NO_GROW) {
                let bytes = kind.bytes();
                return Err(Cause::NotReady { bytes });
            }
            match self.make_records(online, kind) {
                Ok(()) => {}
                Err(Cause::Busy) => {
                    let taken = self.unused_record(online, kind, true);
                    return taken.ok_or(Cause::Busy);
                }
                Err(cause) => return Err(cause),
            }
        }
    }

    /// Takes an unused record, and notes when fewer are left than atomic requests are to have.
    fn unused_record(
        &self,
        online: &Online<M>,
        kind: RecordKind,
        atomic: bool,
    ) -> Option<SpanHandle> {
        let mut lists = self.central.lock();
        let taken = lists.alloc_record(online.records(), kind, atomic);
        if lists.lacks_records(kind) {
            self.pages.set_reserve_low(true);
        }
        taken
    }

    /// Makes records until an ordinary request may take one.
    ///
    /// # Errors
    /// Why there is no memory for them.
    pub(super) fn make_records(&self, online: &Online<M>, kind: RecordKind) -> Result<(), Cause> {
        if kind == RecordKind::Wide && !Records::<M>::HAS_WIDE {
            return Ok(());
        }
        while self.central.lock().spare_records(kind) == 0 {
            let (pages, purpose) = (&self.pages, Purpose::Spans);
            match kind {
                RecordKind::Narrow => {
                    let memory = pages.take_metadata(online, self, purpose, batch::<M>())?;
                    self.central.lock().add_records(online.records(), memory);
                }
                RecordKind::Wide => {
                    let memory = pages.take_metadata(online, self, purpose, WIDE_BATCH)?;
                    self.central
                        .lock()
                        .add_wide_records(online.records(), memory);
                }
            }
        }
        Ok(())
    }
}

/// The kind of record that a span of `slots` slots has.
pub(super) const fn record_kind<M: Machine>(slots: usize) -> RecordKind {
    if Records::<M>::HAS_WIDE && slots > NARROW_SLOTS {
        RecordKind::Wide
    } else {
        RecordKind::Narrow
    }
}
