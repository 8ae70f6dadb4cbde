//! Reallocation: in place where the class or the following pages allow it.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::lookup::Location;
use super::object_heap::Heap;
use super::request::{AllocError, Served};
use crate::arena::SpanHandle;
use crate::base::PageRun;
use crate::pageheap::{Online, Want};
use crate::span::Scan;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Changes the size of an object to that of `new`, in place if its class stays or, for a large
    /// object, if the following pages are free; else by moving it. With [`AllocFlags::ZEROED`] the
    /// bytes beyond the old size are zero.
    ///
    /// # Errors
    /// [`AllocError`]: the object stays where it is, with its old layout. Shrinking to a smaller
    /// class moves the object, so it can be refused too. With the feature `heap-bits`, a scannable
    /// object is always refused.
    /// # Safety
    /// - `pointer` was allocated by this heap with `old`.
    /// - After success it is not used any more; `new` is the layout from then on.
    /// # Locks
    /// As [`allocate`](Self::allocate).
    /// # Cost
    /// In place: constant, and linear in the pages that are added or given back. Else a copy of the
    /// smaller size.
    pub unsafe fn reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() != 0 {
            // An object without bytes has an address that may be anything's.
            self.refuse_scannable(pointer, new)?;
        }
        let in_place = match self.pages.online() {
            Some(online) if !self.early.holds(pointer) && old.size() != 0 && new.size() != 0 => {
                // SAFETY: the object is the caller's, as it promises.
                unsafe { self.resize_in_place(online, pointer, (old, new), Scan::NO, flags) }
            }
            _ => None,
        };
        let memory = match in_place {
            Some(memory) => memory,
            // SAFETY: the caller's obligations are those of `move_object`.
            None => unsafe { self.move_object(pointer, old, new, flags) }?,
        };
        if flags.contains(AllocFlags::ZEROED) {
            clear_tail(memory, old.size());
        }
        Ok(memory)
    }

    /// Allocates for `new`, copies, frees the old object.
    ///
    /// # Safety
    /// As for [`reallocate`](Self::reallocate).
    unsafe fn move_object(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let memory = self.allocate(new, flags.difference(AllocFlags::ZEROED))?;
        let bytes = old.size().min(new.size());
        // SAFETY: `copy_to_nonoverlapping` needs
        // - both objects live and at least `bytes` long: one is the caller's, one was just made;
        // - no overlap: they are different objects.
        unsafe { pointer.copy_to_nonoverlapping(memory.cast::<u8>(), bytes) };
        // SAFETY: the caller allocated `pointer` with `old` and uses it no more.
        unsafe { self.deallocate(pointer, old) };
        Ok(memory)
    }

    /// Changes the size of an object from that of the first layout to that of the second where it
    /// stands; `None` if it has to move. `scan` says whether its span is scannable.
    ///
    /// # Safety
    /// An object at `pointer` with the first layout is the caller's.
    pub(super) unsafe fn resize_in_place(
        &self,
        online: &Online<M>,
        pointer: NonNull<u8>,
        (old, new): (Layout, Layout),
        scan: Scan,
        flags: AllocFlags,
    ) -> Option<NonNull<[u8]>> {
        let lists = self.central.lock();
        // SAFETY: the object is gone before the lock is.
        let object = match unsafe { self.object_shared(online, pointer, old) } {
            Ok(object) => object,
            Err(fault) => {
                drop(lists);
                self.stop_misused(online, pointer, old, fault)
            }
        };
        let (handle, run) = (object.handle, object.span.record.run());
        let class = match object.location {
            Location::Slot { class, .. } => Some(class),
            Location::Whole => None,
        };
        drop(lists);
        let bytes = match (class, Self::served(new).ok()?) {
            (Some(class), Served::Small(wanted)) if class == wanted => Self::TABLE.size(class),
            (None, Served::Large(want)) => {
                if !want.starts_at(run.first) {
                    return None;
                }
                let want = want.for_scan(scan);
                // SAFETY: the run is the object's, which is the caller's.
                unsafe { self.resize_run(online, handle, run, want, flags) }?;
                want.pages << M::GEOMETRY.page_shift
            }
            _ => return None,
        };
        Some(NonNull::slice_from_raw_parts(pointer, bytes))
    }

    /// Changes the length of a large object's run to that of `want` if that is possible where it
    /// stands.
    ///
    /// # Safety
    /// The object is the caller's, so that nobody else changes it.
    unsafe fn resize_run(
        &self,
        online: &Online<M>,
        handle: SpanHandle,
        run: PageRun,
        want: Want,
        flags: AllocFlags,
    ) -> Option<()> {
        let Want { pages, scan, .. } = want;
        let added = if pages > run.count {
            let more = Want::pages(pages - run.count).for_scan(scan);
            let added = self.pages.extend(online, run, more, flags, self);
            Some(added.ok()?.record())
        } else {
            None
        };
        let gone = PageRun::between(run.first.plus(pages), run.end());
        // SAFETY: the pages are the end of the object, whose owner calls.
        unsafe { self.clear_run(scan, gone) };
        // Record and index change together, so that a walk over the spans sees neither without the
        // other.
        let _lists = self.central.lock();
        online.records().get(handle).record.set_pages(pages);
        match added {
            Some(added) => self.pages.index().set(added, Some(handle)),
            None if !gone.is_empty() => {
                // SAFETY: the pages were the end of the object, whose record names them no more,
                // and its owner, who calls, does not use them.
                unsafe { self.free_unrecorded(scan, gone) };
            }
            None => {}
        }
        Some(())
    }
}

/// Clears the bytes beyond the first `kept` of an object that the caller owns.
pub(super) fn clear_tail(memory: NonNull<[u8]>, kept: usize) {
    let Some(bytes) = memory.len().checked_sub(kept) else {
        return;
    };
    // SAFETY: `kept` is not above the length of the object.
    let tail = unsafe { memory.cast::<u8>().add(kept) };
    // SAFETY: the bytes up to the end of the object are Ready and the caller's.
    unsafe { tail.write_bytes(0, bytes) };
}
