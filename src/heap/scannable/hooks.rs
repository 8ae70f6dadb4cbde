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
use crate::pageheap::Online;
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
            let found = unsafe { self.find_bits(online, handle, record.first::<M>(), class) };
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

    /// Clears the bits of an object that is being freed, unless it was claimed, which has cleared
    /// them. A large object that was not is shorter than the largest class.
    ///
    /// # Safety
    /// The caller holds the central lock.
    #[inline(always)]
    pub(in crate::heap) unsafe fn clear_slot(&self, online: &Online<M>, object: &Object<'_>) {
        if !object.span.scan().is_yes() || object.span.is_claimed() {
            return;
        }
        let Location::Slot { class, slot } = &object.location else {
            let record = object.span.record;
            // SAFETY: the caller's promise is the same, and the run is all of the span.
            unsafe { self.clear_far(record, 0, record.run::<M>().bytes::<M>()) };
            return;
        };
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

    /// Clears the bits of an object whose bits have to be looked up.
    ///
    /// # Safety
    /// The caller holds the central lock, and the object lies in the record's span.
    #[cold]
    #[inline(never)]
    unsafe fn clear_far(&self, record: &Record, offset: usize, bytes: usize) {
        let first = record.base::<M>().value();
        let slot = VirtAddr::new(first.wrapping_add(offset));
        // SAFETY: only words of the object are looked at, and the caller holds the central lock.
        let reader = unsafe { self.pages.index().read_bits() };
        clear(&reader, slot, bytes);
    }

    /// Takes the large object of a layout that no class serves from everybody else and clears its
    /// bits, if it is scannable: the caller frees it. `None` for anything else, which is found out
    /// under the lock that it is freed under.
    ///
    /// The bits are cleared with no lock held, because they are many.
    ///
    /// # Safety
    /// If an object with this layout begins at `pointer`, it is the caller's, which frees it.
    #[inline(always)]
    pub(in crate::heap) unsafe fn claim_large<'a>(
        &self,
        online: &'a Online<M>,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Option<Object<'a>> {
        if Self::TABLE.serves(layout.size(), layout.align()) {
            return None;
        }
        // SAFETY: the caller's promise is the same.
        unsafe { self.claim_pages(online, pointer, layout) }
    }

    /// # Safety
    /// As for [`claim_large`](Self::claim_large).
    #[inline(never)]
    unsafe fn claim_pages<'a>(
        &self,
        online: &'a Online<M>,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Option<Object<'a>> {
        let lists = self.central.lock();
        // SAFETY: a slot is gone before the lock is; a large object has no token of the lock.
        let found = unsafe { self.object(online, pointer, layout) };
        let object = found.ok().filter(|object| object.span.scan().is_yes())?;
        let Object {
            handle,
            span,
            location: Location::Whole,
        } = object
        else {
            return None;
        };
        span.record.claim();
        drop(lists);
        let run = span.record.run::<M>();
        // SAFETY: the run is that of an object which was claimed just now, for the caller.
        unsafe { self.clear_run(Scan::YES, run) };
        Some(Object {
            handle,
            span: online.records().get(handle),
            location: Location::Whole,
        })
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
}

/// Makes the words of an object after its first `kept` bytes dead, if its span is scannable.
///
/// # Safety
/// The object is the caller's, live, and as long as `memory`.
#[inline(always)]
pub(in crate::heap) unsafe fn cut_bits<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    scan: Scan,
    memory: NonNull<[u8]>,
    kept: usize,
) {
    let kept = kept.next_multiple_of(M::WORD_BYTES);
    let online = heap.pages.online();
    let address = online.and_then(|online| online.machine.address(memory.cast()));
    if let (true, Some(address)) = (scan.is_yes() && kept < memory.len(), address) {
        // SAFETY: only words of the object are looked at, which is the caller's.
        let reader = unsafe { heap.pages.index().read_bits() };
        let tail = VirtAddr::new(address.value().wrapping_add(kept));
        clear(&reader, tail, memory.len() - kept);
    }
}

/// The description of an object that has changed its size.
#[derive(Clone, Copy, Debug)]
pub(in crate::heap) struct NewBits(Option<Scan>);

impl NewBits {
    /// The words that remain keep their description.
    pub(in crate::heap) const KEPT: Self = Self(None);

    /// The caller describes the object again, which is then to be scannable or not.
    pub(super) const fn described(scan: Scan) -> Self {
        Self(Some(scan))
    }

    /// Whether the words that remain keep their description.
    pub(in crate::heap) const fn are_kept(self) -> bool {
        self.0.is_none()
    }

    /// Whether the new object may lie in a span that is scannable or not.
    pub(in crate::heap) fn allow(self, scan: Scan) -> bool {
        self.0.is_none_or(|wanted| wanted == scan)
    }
}
