//! Small objects: slots of spans.

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::runs::Want;
use super::{Heap, Opened, certain};
use crate::arena::SpanHandle;
use crate::base::Shape;
use crate::region::{Cause, Purpose, Source};
use crate::span::{Kind, NARROW_SLOTS, RecordKind, Records, SizeClass, SpanClass, Taken};

/// Records made at a time: as many as fill a kilobyte, or half of a page if that is less.
const fn batch<S: Shape>() -> usize {
    let records = S::GEOMETRY.page_bytes() / 2 / RecordKind::Narrow.bytes();
    if records < 16 { records } else { 16 }
}

/// Wide records made at a time.
const WIDE_BATCH: usize = 2;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// A slot of `class` in a span that has one.
    // In line: a call would save and restore as many registers as the rest needs.
    #[inline(always)]
    pub(super) fn allocate_slot(
        &self,
        opened: &Opened<M>,
        class: SpanClass,
        flags: AllocFlags,
    ) -> Option<NonNull<[u8]>> {
        let taken = self.take_slot(opened, class)?;
        Some(self.slot_memory(opened, class.size_class(), taken, flags))
    }

    #[inline(always)]
    pub(super) fn take_slot<'a>(
        &self,
        opened: &'a Opened<M>,
        class: SpanClass,
    ) -> Option<Taken<'a>> {
        let slots = Self::TABLE.slots(class.size_class());
        self.central
            .lock()
            .take(opened.records(), class.number(), slots)
    }

    #[inline]
    pub(super) fn slot_memory(
        &self,
        opened: &Opened<M>,
        class: SizeClass,
        taken: Taken<'_>,
        flags: AllocFlags,
    ) -> NonNull<[u8]> {
        let bytes = Self::TABLE.size(class);
        let start = opened.machine.pointer(taken.record.first().address::<M>());
        // SAFETY: `add` stays inside the span, which is Ready: the slot is below the span's slots,
        // and a span's slots fit its run.
        let start = unsafe { start.add(taken.slot * bytes) };
        if flags.contains(AllocFlags::ZEROED) && !taken.zeroed {
            // SAFETY: the slot is Ready, and nobody else's since its bit was taken.
            unsafe { start.write_bytes(0, bytes) };
        }
        NonNull::slice_from_raw_parts(start, bytes)
    }

    /// A slot of `class`, the first of a span that is made for it.
    #[cold]
    pub(super) fn allocate_in_new_span(
        &self,
        opened: &Opened<M>,
        class: SpanClass,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        let (span_class, class) = (class, class.size_class());
        let want = Want::pages(Self::TABLE.pages(class)).for_scan(span_class.scan());
        let slots = Self::TABLE.slots(class);
        let handle = self.take_record(opened, record_kind::<M>(slots), flags)?;
        let ready = match self.obtain(opened, want, flags) {
            Ok(ready) => ready,
            Err(cause) => {
                self.central.lock().retire(opened.records(), handle);
                return Err(cause);
            }
        };
        let record = opened.records().get(handle).record;
        let mut central = self.central.lock();
        // A span has at most 1280 slots.
        let free_slots = u16::try_from(slots).unwrap_or(u16::MAX);
        record.describe(
            Kind::Small(class.number()),
            ready.run,
            free_slots,
            ready.zeroed,
        );
        record.mark(span_class.scan());
        self.place_bits(opened, span_class, handle);
        self.index.set(ready.run, Some(handle));
        let taken = central.insert(opened.records(), span_class.number(), handle, slots);
        drop(central);
        let taken = certain::<K, _, _>(taken.ok_or(()), "a new span has a free slot");
        Ok(self.slot_memory(opened, class, taken, flags))
    }

    /// Takes an unused record, making more where that is allowed.
    pub(super) fn take_record(
        &self,
        opened: &Opened<M>,
        kind: RecordKind,
        flags: AllocFlags,
    ) -> Result<SpanHandle, Cause> {
        let atomic = flags.contains(AllocFlags::ATOMIC);
        loop {
            if let Some(handle) = self.unused_record(opened, kind, atomic) {
                return Ok(handle);
            }
            if flags.contains(AllocFlags::NO_GROW) {
                let bytes = kind.bytes();
                return Err(Cause::NotReady { bytes });
            }
            match self.make_records(opened, kind) {
                Ok(()) => {}
                Err(Cause::Busy) => {
                    let taken = self.unused_record(opened, kind, true);
                    return taken.ok_or(Cause::Busy);
                }
                Err(cause) => return Err(cause),
            }
        }
    }

    /// Takes an unused record, and notes when those that are kept for atomic requests have become
    /// fewer.
    fn unused_record(
        &self,
        opened: &Opened<M>,
        kind: RecordKind,
        atomic: bool,
    ) -> Option<SpanHandle> {
        let mut central = self.central.lock();
        let taken = central.take_record(opened.records(), kind, atomic);
        if central.lacks_records(kind) {
            self.reserve_low.store(true, Ordering::Relaxed);
        }
        taken
    }

    /// Makes records until an ordinary request may take one.
    pub(super) fn make_records(&self, opened: &Opened<M>, kind: RecordKind) -> Result<(), Cause> {
        if kind == RecordKind::Wide && !Records::<M>::HAS_WIDE {
            return Ok(());
        }
        self.with_machine(opened, |space, growth| {
            growth.with_metadata::<M, K>(|growth| {
                while self.central.lock().spare_records(kind) == 0 {
                    let mut source = growth.metadata.source(space);
                    match kind {
                        RecordKind::Narrow => {
                            let memory = source.take(Purpose::Spans, batch::<M>(), 0)?;
                            self.central.lock().add_records(opened.records(), memory);
                        }
                        RecordKind::Wide => {
                            let memory = source.take(Purpose::Spans, WIDE_BATCH, 0)?;
                            self.central
                                .lock()
                                .add_wide_records(opened.records(), memory);
                        }
                    }
                }
                Ok(())
            })
        })
    }
}

const fn record_kind<M: Machine>(slots: usize) -> RecordKind {
    if Records::<M>::HAS_WIDE && slots > NARROW_SLOTS {
        RecordKind::Wide
    } else {
        RecordKind::Narrow
    }
}
