//! The bits of scannable objects, kept with every request and free.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine, VirtAddr};

use crate::arena::SpanHandle;
use crate::base::invariant::expect_invariant;
use crate::base::{PageIdx, PageRun};
use crate::bits::{Description, Masks, SlotBits, UNIT_WORDS, clear, describe};
use crate::heap::lookup::{Location, Object};
use crate::heap::object_heap::Heap;
use crate::heap::request::AllocError;
use crate::pageheap::Online;
use crate::region::Cause;
use crate::span::{BitsPlace, NewSlot, Record, Scan, SizeClass, SpanClass};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Notes in the record of a new span of `class` where the bits that cover it are, which are
    /// claimed. The caller holds the central lock.
    pub(in crate::heap) fn place_bits(
        &self,
        online: &Online<M>,
        class: SpanClass,
        handle: SpanHandle,
    ) {
        if class.scan().is_yes() {
            let record = online.records().get(handle).record;
            let class = class.size_class();
            // SAFETY: the pages are claimed for the span, which is not in the index yet, so that
            // nobody else can have it go.
            let found = unsafe { self.find_bits(online, handle, record.first(), class) };
            let (distance, near) = found;
            record.set_bits(distance, near);
        }
    }

    /// The distance that the record `handle` has to give for the bits of a span of `class` at
    /// `first`, and for how many of its slots.
    ///
    /// # Safety
    /// The span is scannable, and does not go meanwhile.
    pub(crate) unsafe fn find_bits(
        &self,
        online: &Online<M>,
        handle: SpanHandle,
        first: PageIdx,
        class: SizeClass,
    ) -> (i32, u32) {
        // SAFETY: the caller promises that the span, for which the pages are claimed, does not go.
        let units = unsafe { self.pages.index().read_bits() }.units_of(first);
        let bytes = units.len() * UNIT_WORDS * M::WORD_BYTES;
        let near = (bytes / Self::TABLE.size(class)).min(Self::TABLE.slots(class));
        let distance = units.first().and_then(|unit| {
            let unit = online.machine.address(NonNull::from(unit).cast())?;
            BitsPlace::distance(online.records().address(handle), unit)
        });
        match (distance, u32::try_from(near)) {
            (Some(distance), Ok(near)) => (distance, near),
            _ => (0, 0),
        }
    }

    /// Describes an object with these masks in a slot that was just allocated, and whose words are
    /// therefore dead. Returns whether the slot's bits are near; if not, nothing has happened.
    #[inline(always)]
    pub(super) fn describe_fresh(
        &self,
        online: &Online<M>,
        class: SizeClass,
        slot: &NewSlot<'_>,
        masks: &Masks,
    ) -> bool {
        let Some(place) = slot.bits_place() else {
            return false;
        };
        let first = slot.number() * Self::TABLE.size(class) / M::WORD_BYTES;
        let bits = SlotBits::new(first, masks.words_before_last());
        // SAFETY: `units` needs
        // - the place of a record, and units of a near slot: the place is that of the slot, and the
        //   masks fit the layout that the slot was chosen for;
        // - the span in use: the caller holds the slot's token.
        let units = unsafe { place.units(&online.machine, bits.first, bits.units) };
        bits.set(units, masks);
        true
    }

    /// Writes the bits of a scannable object.
    ///
    /// # Safety
    /// The object is the caller's, live, and as long as `memory`.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn describe_object(
        &self,
        online: &Online<M>,
        memory: NonNull<[u8]>,
        object: &Description<'_>,
    ) {
        let slot = online.machine.address(memory.cast()).ok_or(());
        let slot = expect_invariant::<K, _, _>(slot, "an object lies in a window");
        // SAFETY: only words of the object are looked at, which is the caller's.
        let reader = unsafe { self.pages.index().read_bits() };
        let described = describe(&reader, slot, memory.len(), object);
        expect_invariant::<K, _, _>(described, "the bitmap that covers an object is ready");
    }

    /// Clears the bits of a slot that is being freed; those of a large object are cleared already.
    ///
    /// # Safety
    /// The caller holds the central lock.
    #[inline(always)]
    pub(in crate::heap) unsafe fn clear_slot(&self, online: &Online<M>, object: &Object<'_>) {
        let Location::Slot { class, slot } = &object.location else {
            return;
        };
        if !object.span.scan().is_yes() {
            return;
        }
        let (slot, bytes) = (slot.number(), Self::TABLE.size(*class));
        let offset = slot * bytes;
        let Some(place) = object.span.bits_place(slot) else {
            // SAFETY: the caller's promise is the same, and the slot lies in the span.
            unsafe { self.clear_far(object.span.record, offset, bytes) };
            return;
        };
        let bits = SlotBits::new(offset / M::WORD_BYTES, bytes / M::WORD_BYTES - 1);
        // SAFETY: `units` needs
        // - the place of a record, and units of a near slot: the place is that of the slot;
        // - the span in use: the caller holds the central lock.
        let units = unsafe { place.units(&online.machine, bits.first, bits.units) };
        bits.clear(units);
    }

    /// Clears the bits of a slot whose bits have to be looked up.
    ///
    /// # Safety
    /// The caller holds the central lock, and the slot lies in the record's span.
    #[cold]
    #[inline(never)]
    unsafe fn clear_far(&self, record: &Record, offset: usize, bytes: usize) {
        let first = record.first().address::<M>().value();
        let slot = VirtAddr::new(first.wrapping_add(offset));
        // SAFETY: only words of the slot are looked at, and the caller holds the central lock.
        let reader = unsafe { self.pages.index().read_bits() };
        clear(&reader, slot, bytes);
    }

    /// Clears the bits of the large object that the caller is about to free, if it is one. A
    /// pointer to no object is found out afterwards.
    ///
    /// # Safety
    /// An object at `pointer` with this layout is the caller's.
    #[inline(always)]
    pub(in crate::heap) unsafe fn clear_large(
        &self,
        online: &Online<M>,
        pointer: NonNull<u8>,
        layout: Layout,
    ) {
        if !Self::TABLE.serves(layout.size(), layout.align()) {
            // SAFETY: the caller's promise is the same.
            unsafe { self.clear_pages(online, pointer, layout) };
        }
    }

    /// # Safety
    /// As for [`clear_large`](Self::clear_large).
    #[inline(never)]
    unsafe fn clear_pages(&self, online: &Online<M>, pointer: NonNull<u8>, layout: Layout) {
        let lists = self.central.lock();
        // SAFETY: the object is gone before the lock is.
        let found = unsafe { self.object(online, pointer, layout) };
        let found = found.map(|object| (object.span.scan(), object.span.record.run()));
        drop(lists);
        if let Ok((scan, run)) = found {
            // SAFETY: the run is that of an object of this layout, which is the caller's.
            unsafe { self.clear_run(scan, run) };
        }
    }

    /// Clears the bits of pages of a large object.
    ///
    /// # Safety
    /// The object is the caller's.
    pub(in crate::heap) unsafe fn clear_run(&self, scan: Scan, run: PageRun) {
        if scan.is_yes() && !run.is_empty() {
            let first = run.first.address::<M>();
            // SAFETY: only words of the object are looked at, which is the caller's.
            let reader = unsafe { self.pages.index().read_bits() };
            clear(&reader, first, run.bytes::<M>());
        }
    }

    /// Whether the live object at `pointer` may hold pointers.
    pub(super) fn is_scannable(&self, online: &Online<M>, pointer: NonNull<u8>) -> bool {
        let address = online.machine.address(pointer);
        let handle = address.and_then(|address| self.pages.index().span_of(address));
        handle.is_some_and(|handle| online.records().get(handle).scan().is_yes())
    }

    /// Refuses to reallocate a scannable object without a description.
    ///
    /// # Errors
    /// [`Cause::Scannable`].
    pub(in crate::heap) fn refuse_scannable(
        &self,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<(), AllocError> {
        match self.pages.online() {
            Some(online) if self.is_scannable(online, pointer) => Err(AllocError {
                layout,
                cause: Cause::Scannable,
            }),
            _ => Ok(()),
        }
    }
}
