//! Allocation of scannable objects, with their bits.
//!
//! The bits of a slot are written after it was allocated and before its address is known to others.
//! They are cleared before a freed slot can be allocated again, and those of a large object before
//! its pages are free. So words outside of scannable objects are dead, always, and a new object
//! needs no clearing.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use crate::bits::Description;
use crate::heap::alloc::allocate_uncounted;
use crate::heap::memory::memory_of;
use crate::heap::object_heap::Heap;
use crate::heap::request::{AllocError, refusal};
use crate::pageheap::Online;
use crate::region::Cause;
use crate::span::{Scan, SpanClass};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Allocates memory for `layout` as `flags` allow, and has the heap bitmap describe it as
    /// `object` before its address is known to others. Words of the slot after the object are dead.
    /// An object without pointers is allocated as by [`allocate`](Self::allocate), and not
    /// described. [`bits`](crate::bits) is the module of descriptions,
    /// [`BitsView`](crate::BitsView) has an example.
    ///
    /// The caller decides what a scan finds in the memory before it is written; with
    /// [`AllocFlags::ZEROED`] that is null. The object is freed by
    /// [`deallocate`](Self::deallocate).
    ///
    /// Where nothing may become Ready ([`AllocFlags::NO_GROW`], [`AllocFlags::ATOMIC`]), the
    /// request is served by a free slot for scannable objects of that size; else by the lowest free
    /// pages that are enough, if they and the bitmap that covers them are Ready; else, for an
    /// atomic request, by pages of the reserve, if the bitmap that covers them happens to be Ready.
    ///
    /// # Errors
    /// [`AllocError`] with the step that refused and its figures: [`Cause::Description`] for an
    /// object that is longer than its layout, [`Cause::NotInitialised`] before `init`, because the
    /// early heap has no bitmap. Nothing is left behind, except for idle bitmap that could not go
    /// because there is a [`BitsView`](crate::BitsView), or the machine is busy or never decommits:
    /// it serves the next request or is scavenged.
    /// # Locks
    /// As [`allocate`](Self::allocate). The bits are written with no lock held.
    /// # Cost
    /// Beyond `allocate`, a few instructions for every 16 or 32 words up to the last pointer; for
    /// an array, a long value, or a slot of a span that two parts of the bitmap cover, for every 16
    /// or 32 words of the slot, and a lookup.
    #[inline]
    pub fn allocate_scannable(
        &self,
        layout: Layout,
        object: &Description<'_>,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        match self.allocate_fast(layout, object, flags) {
            Some(memory) => Ok(memory),
            None => self
                .allocate_described(layout, object, flags)
                .map_err(|cause| refusal(self, layout, cause)),
        }
    }

    /// Allocates a short object in a span that has a free slot; `None`, and nothing has happened,
    /// if it is not as simple as that.
    // The caller keeps the values for every other case, so that this one has registers.
    #[inline(never)]
    pub(super) fn allocate_fast(
        &self,
        layout: Layout,
        object: &Description<'_>,
        flags: AllocFlags,
    ) -> Option<NonNull<[u8]>> {
        let masks = object.masks();
        if !masks.fit(layout.size(), M::WORD_BYTES) {
            return None;
        }
        let online = self.ready_to_allocate(flags).ok()?;
        let class = Self::TABLE.class_for(layout.size(), layout.align())?;
        let slot = self.alloc_slot(online, SpanClass::new(class, Scan::YES))?;
        let memory = memory_of::<M, K>(online, class, &slot, flags);
        if !self.describe_fresh(online, class, &slot, masks) {
            // SAFETY: the object was allocated just now.
            unsafe { self.describe_object(online, memory, object) };
        }
        Some(memory)
    }

    /// [`allocate_scannable`](Self::allocate_scannable) for any object. A refusal is not counted.
    ///
    /// # Errors
    /// The step that refused.
    #[inline(never)]
    pub(super) fn allocate_described(
        &self,
        layout: Layout,
        object: &Description<'_>,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        if object.described() == 0 {
            return allocate_uncounted(self, layout, flags);
        }
        let online = self.ready_to_allocate(flags)?;
        Self::check_description(layout, object)?;
        let memory = self.allocate_covered(online, layout, flags)?;
        // SAFETY: the object was allocated just now.
        unsafe { self.describe_object(online, memory, object) };
        Ok(memory)
    }

    /// Allocates memory that the bitmap covers.
    fn allocate_covered(
        &self,
        online: &Online<M>,
        layout: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        let Some(class) = Self::TABLE.class_for(layout.size(), layout.align()) else {
            let want = Self::wanted(layout)?.for_scan(Scan::YES);
            return self.alloc_large(online, want, flags);
        };
        let span_class = SpanClass::new(class, Scan::YES);
        match self.alloc_slot(online, span_class) {
            Some(slot) => Ok(self.slot_memory(online, class, slot, flags)),
            None => self.alloc_beyond(online, span_class, layout, flags),
        }
    }

    /// Refuses the description of an object that has more words than the layout has bytes for. A
    /// description without pointers fits any layout.
    ///
    /// # Errors
    /// [`Cause::Description`].
    pub(super) fn check_description(layout: Layout, object: &Description<'_>) -> Result<(), Cause> {
        let (bytes, room) = (object.words().saturating_mul(M::WORD_BYTES), layout.size());
        if object.described() > 0 && bytes > room {
            return Err(Cause::Description { bytes, room });
        }
        Ok(())
    }
}
