//! Frees.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine, Report};

use super::cpus::AtOnce;
use super::early::Fate;
use super::lookup::{Location, Object};
use super::misuse::Misuse;
use super::object_heap::Heap;
use crate::pageheap::Online;
use crate::span::{Emptied, Lists};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Frees an object. Memory of size zero needs no free and has no effect.
    ///
    /// The object's span is found by address, and the free is checked against it: the address is
    /// the start of a slot, the slot is live, and the layout is the object's. Anything else stops
    /// the machine with a report: see [`try_deallocate`](Self::try_deallocate).
    ///
    /// With the feature `trusting`, a free in a span of the CPU's own is not checked for the first
    /// two: it frees the slot around the address, live or not.
    ///
    /// # Safety
    /// - `pointer` was allocated by this heap with `layout`, or reallocated to it.
    /// - Nothing uses the object any more.
    /// # Locks
    /// Takes central, the bitmap's (with the feature `heap-bits`), and page. Callable from an
    /// interrupt handler and from the machine.
    /// # Cost
    /// Constant, but for a large object or the last slot of a span: linear in the pages given back.
    pub unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        if let AtOnce::Done = unsafe { self.cpus().free_at_once(pointer, layout) } {
            return;
        }
        // SAFETY: as above.
        if Self::HAS_CPUS && unsafe { self.cpus().free_elsewhere(pointer, layout) } {
            return;
        }
        // SAFETY: as above.
        unsafe { deallocate_slowly(self, pointer, layout) };
    }

    /// Frees an object, if there is one with this layout at `pointer`, any number whatsoever: for a
    /// kernel that serves heaps of programs that it does not trust.
    ///
    /// Check and free are one section of the central lock. Of two calls that free an object at
    /// once, one frees it and the other is refused.
    ///
    /// The layout is wrong if an object of it would not have been served by such a slot, or by such
    /// a run of pages: if its class, or its number of pages, is not the object's, or if the address
    /// is not aligned to it. So layouts of one class are the same, and 100 bytes may be freed as
    /// 112. In a span where an object kept its slot when it shrank, because there was no memory for
    /// a smaller one, every layout is right that fits the slot. Of a large object that kept its
    /// pages so, every layout is right of so many pages. Blocks of the early heap have units of 16
    /// bytes, which are counted.
    ///
    /// # Errors
    /// A report of what was found, for which [`deallocate`](Self::deallocate) would stop the
    /// machine: a foreign pointer, which includes metadata; an object that was freed, and a free
    /// page or one that the kernel owns (`DoubleFree`); a pointer into an object or behind the last
    /// slot of a span; a wrong layout. Nothing has changed.
    /// # Safety
    /// *If* an object with this layout begins at `pointer`, it is the caller's, and nothing uses it
    /// any more. The heap cannot know that: a function that frees anybody's objects is not safe,
    /// whatever it checks.
    /// # Locks
    /// As [`deallocate`](Self::deallocate). No lock is held any more when a report is returned.
    /// # Cost
    /// As [`deallocate`](Self::deallocate).
    pub unsafe fn try_deallocate(
        &self,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<(), Report> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.free_checked(pointer, layout) }
            .map_err(|misuse| self.report(pointer, layout, misuse))
    }

    /// # Errors
    /// The fault of the pointer or of the layout; nothing has changed, and no lock is held.
    /// # Safety
    /// As for [`try_deallocate`](Self::try_deallocate).
    #[inline(always)]
    unsafe fn free_checked(&self, pointer: NonNull<u8>, layout: Layout) -> Result<(), Misuse> {
        if layout.size() == 0 {
            return Ok(());
        }
        if Self::SAVES_CODE {
            let online = self.pages.online();
            // SAFETY: an object is the caller's, as it promises.
            let claim = |online| unsafe { self.claim_large(online, pointer, layout) };
            let claimed = online.and_then(claim);
            let mut lists = self.central.lock();
            // SAFETY:
            // - the central lock is held until the object is used up;
            // - a block is the caller's, as it promises.
            let found = || unsafe { self.object_or_block(pointer, layout, Fate::Freed) };
            let object = claimed.map_or_else(found, |claimed| Ok(Some(claimed)))?;
            if let (Some(online), Some(object)) = (online, object) {
                self.free_object(online, &mut lists, object);
            }
            return Ok(());
        }
        // SAFETY: the caller's promise is the same.
        if let Some(freed) = unsafe { self.early.decide::<true>(pointer, layout, Fate::Freed) } {
            return freed;
        }
        let online = self.pages.online().ok_or(Misuse::ForeignPointer)?;
        // SAFETY: an object is the caller's, as it promises.
        if let Some(claimed) = unsafe { self.claim_large(online, pointer, layout) } {
            self.free_claimed(online, claimed);
            return Ok(());
        }
        let mut lists = self.central.lock();
        // SAFETY: the central lock is held until the object is used up.
        let object = unsafe { self.object(online, pointer, layout) }?;
        if Self::HAS_CPUS && object.span.record.tag().owner().is_some() {
            if let Location::Slot { class, slot } = object.location {
                let (span, slot) = ((object.handle, object.span), (class, slot.number()));
                // SAFETY: the object is the caller's, as it promises.
                let emptied = unsafe { self.cpus().free_owned(online, span, slot) }?;
                if let Some(Emptied(handle)) = emptied {
                    self.cpus().take_in(online, &mut lists, handle);
                }
                return Ok(());
            }
        }
        self.free_object(online, &mut lists, object);
        Ok(())
    }

    /// Frees a large object that was claimed.
    #[cold]
    fn free_claimed(&self, online: &Online<M>, claimed: Object<'_>) {
        let mut lists = self.central.lock();
        self.free_object(online, &mut lists, claimed);
    }

    #[inline]
    fn free_object(&self, online: &Online<M>, lists: &mut Lists, object: Object<'_>) {
        // SAFETY: the central lock is held: the caller has the lists.
        unsafe { self.clear_slot(online, &object) };
        let (records, handle, span) = (online.records(), object.handle, object.span);
        let emptied = match object.location {
            Location::Whole => {
                // SAFETY: the span is a large object's, which is being freed.
                Some(unsafe { lists.retire_large(records, handle) })
            }
            Location::Slot { class, slot } => {
                let slots = Self::TABLE.slots(class);
                lists.free(records, handle, span, class, slot, slots)
            }
        };
        // Under the central lock: until the entries are gone, a lookup finds a record that is in
        // the pool.
        if let Some(retired) = emptied {
            self.free_retired(span.scan(), retired);
        }
    }
}

/// Frees an object that no CPU's span took back.
///
/// # Safety
/// As for [`Heap::deallocate`].
#[inline(always)]
pub(crate) unsafe fn deallocate_slowly<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    pointer: NonNull<u8>,
    layout: Layout,
) {
    // SAFETY: the caller's promise is the same.
    if let Err(misuse) = unsafe { heap.free_checked(pointer, layout) } {
        heap.stop_misused(pointer, layout, misuse);
    }
}
