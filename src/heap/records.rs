//! Span records: taken from the pool, or made.

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::memory::run_memory;
use super::object_heap::Heap;
use crate::arena::SpanHandle;
use crate::base::PageRun;
use crate::base::sparse::Zeroed;
use crate::pageheap::{Online, ReadyRun, Want};
use crate::region::{Cause, Purpose};
use crate::span::{NARROW_SLOTS, RecordKind, Records};

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
        match self.unused_record(online, kind, atomic) {
            Some(handle) => Ok(handle),
            None => alloc_made_record(self, online, kind, flags),
        }
    }

    /// Takes an unused record, and notes when fewer are left than atomic requests are to have.
    fn unused_record(
        &self,
        online: &Online<M>,
        kind: RecordKind,
        atomic: bool,
    ) -> Option<SpanHandle> {
        let kind = kind.on::<M>();
        let mut lists = self.central.lock();
        let taken = lists.alloc_record(online.records(), kind, atomic);
        if lists.lacks_records(kind) {
            self.pages.set_reserve_low(true);
        }
        // They go back before the record's run is looked for, which they could stand in the way of.
        let has_empty_page = lists.has_empty_page();
        drop(lists);
        if has_empty_page {
            self.reclaim_record_pages(online);
        }
        taken
    }

    /// Makes records, as `flags` allow: the first of a heap in a small piece of metadata memory,
    /// all others in a page of the heap. Where metadata has a window of its own, they lie there as
    /// long as there is room.
    ///
    /// # Errors
    /// Why there is no memory for them.
    pub(super) fn make_records(
        &self,
        online: &Online<M>,
        kind: RecordKind,
        flags: AllocFlags,
    ) -> Result<(), Cause> {
        let may_grow = !flags.contains(AllocFlags::NO_GROW);
        // Where pages are small, a piece of one is no gain.
        let is_first = M::DECOMMITS && self.central.lock().all_records(kind) == 0;
        if may_grow && (is_first || self.pages.metadata_is_apart()) {
            match self.make_piece_of_records(online, kind) {
                Err(Cause::MetadataWindow { .. }) => {}
                answer => return answer,
            }
        }
        let want = Want::pages(1);
        let ready = if may_grow {
            self.pages.alloc_or_grow(online, want, self)?
        } else {
            self.pages.alloc_ready(want, flags)?
        };
        if !online.records().reach_page(ready.run().first) {
            self.pages.free(ready);
            return self.make_piece_of_records(online, kind);
        }
        make_page_of_records(self, online, kind, ready);
        Ok(())
    }

    /// Makes records in a piece of metadata memory, which they stay in.
    ///
    /// # Errors
    /// Why there is no memory for them.
    pub(super) fn make_piece_of_records(
        &self,
        online: &Online<M>,
        kind: RecordKind,
    ) -> Result<(), Cause> {
        let kind = kind.on::<M>();
        let lines = kind.lines_of_piece::<M>();
        let memory = self
            .pages
            .take_metadata(online, self, Purpose::Spans, lines)?;
        let mut lists = self.central.lock();
        lists.add_records(online.records(), memory, kind, false);
        Ok(())
    }

    /// Frees every page of records that is empty and not needed; `false` if there is none.
    pub(super) fn reclaim_record_pages(&self, online: &Online<M>) -> bool {
        let mut is_any = false;
        loop {
            let mut lists = self.central.lock();
            let Some(page) = lists.take_empty_page(online.records()) else {
                return is_any;
            };
            let run = PageRun::new(page.page(), 1);
            let ledger = self.pages.ledger();
            ledger.transfer(Purpose::Spans, Purpose::Objects, run.bytes::<M>());
            // SAFETY: `assume` needs, by the token, which is used up here:
            // 1. the page taken, Ready and charged to objects: it held records until now;
            // 2. no other record, and no use: no handle of one of its records is left.
            self.pages.free(unsafe { ReadyRun::assume(run) });
            is_any = true;
        }
    }
}

/// Makes records and allocates one of them.
#[cold]
fn alloc_made_record<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    online: &Online<M>,
    kind: RecordKind,
    flags: AllocFlags,
) -> Result<SpanHandle, Cause> {
    loop {
        let mut atomic = flags.contains(AllocFlags::ATOMIC);
        let made = heap.make_records(online, kind, flags);
        match made {
            Ok(()) => {}
            // Interrupts are masked and the machine is in use.
            Err(Cause::Busy) => atomic = true,
            Err(cause) => return Err(cause),
        }
        if let Some(handle) = heap.unused_record(online, kind, atomic) {
            return Ok(handle);
        }
        // Others took the records that were made.
        made?;
    }
}

/// The kind of record that a span of `slots` slots has. Where CPUs own spans, half of the bits are
/// for remote frees.
pub(super) const fn record_kind<M: Machine, K: Kernel>(slots: usize) -> RecordKind {
    let most = if Heap::<M, K>::HAS_CPUS {
        NARROW_SLOTS / 2
    } else {
        NARROW_SLOTS
    };
    if Records::<M>::HAS_WIDE && slots > most {
        RecordKind::Wide
    } else {
        RecordKind::Narrow
    }
}

/// Makes records in a page that was allocated for them.
fn make_page_of_records<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    online: &Online<M>,
    kind: RecordKind,
    ready: ReadyRun,
) {
    let kind = kind.on::<M>();
    let memory = run_memory(online, &ready, AllocFlags::ZEROED);
    let bytes = ready.record().bytes::<M>();
    let mut lists = heap.central.lock();
    let ledger = heap.pages.ledger();
    ledger.transfer(Purpose::Objects, Purpose::Spans, bytes);
    // SAFETY: `new` needs the records
    // - aligned: a page is aligned to more than a record;
    // - Ready, zero, and so for as long as they are records: the run was, whose token is used up,
    //   and the pool hands its page out when no record is in use;
    // - unshared: as above.
    let memory = unsafe { Zeroed::new(memory.cast(), kind.in_page::<M>() * kind.lines()) };
    lists.add_records(online.records(), memory, kind, true);
}
