//! Objects that the bitmap describes: made, moved and freed with their bits.
//!
//! The bits of a slot are written after it was taken and before anybody else has its address; those
//! of a slot that is freed are cleared before it can be taken again, and those of a large object
//! before its pages are free. So words that are in no scannable object are dead, always, and what is
//! new needs no clearing.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::super::free::Object;
use super::super::object::AllocError;
use super::super::{Heap, Opened, certain};
use super::view::Inside;
use crate::base::PageRun;
use crate::bits::{Description, clear, describe};
use crate::region::Cause;
use crate::span::{Scan, SpanClass};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Allocates memory for `layout` as `flags` allow, and has the bitmap describe it as `object`
    /// before anybody else can know of it. Words of the slot behind the object are dead. An object
    /// without pointers is allocated as by [`allocate`](Self::allocate), and not described. [`bits`](crate::bits)
    /// is the module of descriptions, [`BitsView`](crate::BitsView) has an example.
    ///
    /// What a scan finds in the memory before the caller has written it is up to the caller; with
    /// [`AllocFlags::ZEROED`] it is null. The object is freed by [`deallocate`](Self::deallocate).
    ///
    /// Where nothing may become Ready ([`AllocFlags::NO_GROW`], [`AllocFlags::ATOMIC`]), a free slot
    /// for scannable objects of that size serves; else the lowest free pages that are enough, if they
    /// and the bitmap in front of them are Ready; else, for an atomic request, pages of the reserve
    /// with bitmap in front of them, which it has by chance alone.
    ///
    /// # Errors
    /// [`AllocError`] with the step that refused and its figures: [`Cause::Description`] for an
    /// object that is longer than its layout, [`Cause::NotInitialised`] before `init`, for the
    /// early heap has no bitmap. Nothing is left behind, but for bitmap that could not go because there
    /// is a [`BitsView`](crate::BitsView), or the machine is busy or never decommits: it is idle, and
    /// serves the next request or is scavenged.
    /// # Locks
    /// As [`allocate`](Self::allocate). The bits are written with no lock held.
    /// # Cost
    /// Beyond `allocate`, a few instructions for every 16 or 32 words up to the last pointer; for an
    /// array, a long value, or a slot of a span that lies behind two parts of the bitmap, for those
    /// of the slot, and a lookup.
    #[inline]
    pub fn allocate_scannable(
        &self,
        layout: Layout,
        object: &Description<'_>,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        match self.allocate_short(layout, object, flags) {
            Some(memory) => Ok(memory),
            None => self.allocate_described(layout, object, flags),
        }
    }

    /// The same for a short object in a span that has a free slot; `None`, and nothing has happened,
    /// if it is not as simple as that.
    // What has to be kept for everything else is kept by the caller, so that this has registers.
    #[inline(never)]
    fn allocate_short(
        &self,
        layout: Layout,
        object: &Description<'_>,
        flags: AllocFlags,
    ) -> Option<NonNull<[u8]>> {
        let masks = object.masks();
        if !masks.fit(layout.size(), M::WORD_BYTES) {
            return None;
        }
        let opened = self.ready_to_allocate(flags).ok()?;
        let class = Self::TABLE.class_for(layout.size(), layout.align())?;
        let taken = self.take_slot(opened, SpanClass::scannable(class))?;
        let memory = self.slot_memory(opened, class, taken, flags);
        if !self.describe_fresh(opened, class, taken, masks) {
            self.describe_object(opened, memory, object);
        }
        Some(memory)
    }

    /// [`allocate_scannable`](Self::allocate_scannable) for any object.
    #[inline(never)]
    fn allocate_described(
        &self,
        layout: Layout,
        object: &Description<'_>,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if object.described() == 0 {
            return self.allocate(layout, flags);
        }
        let refused = |cause| AllocError { layout, cause };
        let opened = self.ready_to_allocate(flags).map_err(refused)?;
        Self::check_description(layout, object).map_err(refused)?;
        let memory = self.allocate_with_bits(opened, layout, flags);
        let memory = memory.map_err(refused)?;
        self.describe_object(opened, memory, object);
        Ok(memory)
    }

    /// Memory in front of which there is bitmap.
    fn allocate_with_bits(
        &self,
        opened: &Opened<M>,
        layout: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        let Some(class) = Self::TABLE.class_for(layout.size(), layout.align()) else {
            let want = Self::wanted(layout)?.for_scan(Scan::YES);
            return self.allocate_run(opened, want, flags);
        };
        let span_class = SpanClass::scannable(class);
        match self.take_slot(opened, span_class) {
            Some(taken) => Ok(self.slot_memory(opened, class, taken, flags)),
            None => self.allocate_in_new_span(opened, span_class, flags),
        }
    }

    /// Writes the bits of an object that the caller has just been given.
    #[cold]
    #[inline(never)]
    pub(super) fn describe_object(
        &self,
        opened: &Opened<M>,
        memory: NonNull<[u8]>,
        object: &Description<'_>,
    ) {
        let slot = opened.machine.address(memory.cast()).ok_or(());
        let slot = certain::<K, _, _>(slot, "an object lies in a window");
        let described = describe(&Inside(&self.index), slot, memory.len(), object);
        certain::<K, _, _>(
            described,
            "the bitmap in front of a scannable object is ready",
        );
    }

    /// What every request needs first.
    #[inline]
    fn ready_to_allocate(&self, flags: AllocFlags) -> Result<&Opened<M>, Cause> {
        if !flags.contains(AllocFlags::ATOMIC) && self.gate.is_inside::<K>() {
            self.machine_allocates();
        }
        let opened = self.opened.get().ok_or(Cause::NotInitialised)?;
        if !flags.contains(AllocFlags::NO_GROW) && self.reserve_low.load(Ordering::Relaxed) {
            self.refill_reserve(opened);
        }
        Ok(opened)
    }

    /// Refuses the description of an object that has more words than the layout has bytes for. One
    /// without pointers describes nothing, and fits any layout.
    pub(super) fn check_description(layout: Layout, object: &Description<'_>) -> Result<(), Cause> {
        let (bytes, room) = (object.words().saturating_mul(M::WORD_BYTES), layout.size());
        if object.described() > 0 && bytes > room {
            return Err(Cause::Description { bytes, room });
        }
        Ok(())
    }

    /// Whether the bitmap describes the live object at `pointer`.
    pub(in super::super) fn is_scannable(&self, opened: &Opened<M>, pointer: NonNull<u8>) -> bool {
        let address = opened.machine.address(pointer);
        let handle = address.and_then(|address| self.index.span_of(address));
        handle.is_some_and(|handle| opened.records().get(handle).is_scannable())
    }

    /// Clears the bits of the large object that the caller is about to free, if it is one. It is
    /// the caller's still, so that no lock is needed; what is no object is found out afterwards.
    #[inline(always)]
    pub(in super::super) fn clear_large(
        &self,
        opened: &Opened<M>,
        pointer: NonNull<u8>,
        layout: Layout,
    ) {
        if !Self::TABLE.serves(layout.size(), layout.align()) {
            self.clear_pages(opened, pointer, layout);
        }
    }

    #[inline(never)]
    fn clear_pages(&self, opened: &Opened<M>, pointer: NonNull<u8>, layout: Layout) {
        let central = self.central.lock();
        let run = match self.object(opened, pointer, layout) {
            Ok(Object { span, .. }) if span.is_scannable() => span.record.run(),
            _ => return,
        };
        drop(central);
        self.clear_run(run);
    }

    /// Clears the bits of pages of a large object, whose owner calls.
    pub(super) fn clear_run(&self, run: PageRun) {
        let first = run.first.address::<M>();
        clear(&Inside(&self.index), first, run.bytes::<M>());
    }

    /// Refuses to reallocate a scannable object without a description.
    pub(in super::super) fn refuse_scannable(
        &self,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<(), AllocError> {
        match self.opened.get() {
            Some(opened) if self.is_scannable(opened, pointer) => Err(AllocError {
                layout,
                cause: Cause::Scannable,
            }),
            _ => Ok(()),
        }
    }
}
