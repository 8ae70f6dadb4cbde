//! Reallocation: in place where class or neighbouring pages allow.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::free::Place;
use super::object::{AllocError, Served};
use super::runs::{ReadyRun, Want};
use super::{Heap, Opened};
use crate::arena::SpanHandle;
use crate::base::PageRun;
use crate::region::{Cause, Purpose};
use crate::span::Scan;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Changes the size of an object to that of `new`, in place if its class stays or, for a large
    /// object, if the pages behind it are free; else by moving it. With [`AllocFlags::ZEROED`] the
    /// bytes beyond the old size are zero.
    ///
    /// # Errors
    /// [`AllocError`]: the object stays where it is, with its old layout. Shrinking to a smaller
    /// class moves the object, so it can be refused too. With the feature `heap-bits`, an object
    /// that the heap bitmap describes is refused always.
    /// # Safety
    /// `pointer` was allocated by this heap with `old`. After success it must not be used; `new` is
    /// the layout from then on.
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
        #[cfg(feature = "heap-bits")]
        if old.size() != 0 {
            // What has no bytes has an address that may be anything's.
            self.refuse_scannable(pointer, new)?;
        }
        let in_place = match self.opened.get() {
            Some(opened) if !self.early.holds(pointer) && old.size() != 0 && new.size() != 0 => {
                self.resize_in_place(opened, pointer, (old, new), Scan::NO, flags)
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
        // SAFETY: both objects are live, different, and at least `bytes` long.
        unsafe { pointer.copy_to_nonoverlapping(memory.cast::<u8>(), bytes) };
        // SAFETY: the caller allocated `pointer` with `old` and uses it no more.
        unsafe { self.deallocate(pointer, old) };
        Ok(memory)
    }

    /// Changes the size of an object from that of the first layout to that of the second where it
    /// stands; `None` if it has to move. `scan` says whether it is in a scannable span.
    pub(super) fn resize_in_place(
        &self,
        opened: &Opened<M>,
        pointer: NonNull<u8>,
        (old, new): (Layout, Layout),
        scan: Scan,
        flags: AllocFlags,
    ) -> Option<NonNull<[u8]>> {
        let central = self.central.lock();
        let object = self.object_shared(opened, pointer, old);
        drop(central);
        let object = match object {
            Ok(object) => object,
            Err(fault) => self.misused(opened, pointer, old, fault),
        };
        let bytes = match (object.place, Self::served(new).ok()?) {
            (Place::Slot { class, .. }, Served::Small(wanted)) if class == wanted => {
                Self::TABLE.size(class)
            }
            (Place::Whole, Served::Large(want)) => {
                let run = object.span.record.run();
                if !want.starts_at(run.first) {
                    return None;
                }
                let want = want.for_scan(scan);
                self.resize_run(opened, object.handle, run, want, flags)?;
                want.pages << M::GEOMETRY.page_shift
            }
            _ => return None,
        };
        Some(NonNull::slice_from_raw_parts(pointer, bytes))
    }

    /// Changes the length of a large object's run to that of `want` if that is possible where it
    /// stands. The caller owns the object, so nobody else changes it.
    fn resize_run(
        &self,
        opened: &Opened<M>,
        handle: SpanHandle,
        run: PageRun,
        want: Want,
        flags: AllocFlags,
    ) -> Option<()> {
        let Want { pages, scan, .. } = want;
        let added = if pages > run.count {
            let more = Want::pages(pages - run.count).for_scan(scan);
            Some(self.extend_run(opened, run, more, flags).ok()?)
        } else {
            None
        };
        let gone = PageRun::between(run.first.plus(pages), run.end());
        self.clear_given_back(scan, gone);
        // Record and index change together, so that a walk over the spans sees neither without the
        // other.
        let mut central = self.central.lock();
        opened.records().get(handle).record.set_pages(pages);
        match added {
            Some(added) => self.index.set(added, Some(handle)),
            None if !gone.is_empty() => {
                self.release_given_back(scan, &mut central, gone);
                self.free_run(gone);
            }
            None => {}
        }
        Some(())
    }

    /// Takes the pages of `more` directly behind `run` and makes them Ready.
    fn extend_run(
        &self,
        opened: &Opened<M>,
        run: PageRun,
        more: Want,
        flags: AllocFlags,
    ) -> Result<PageRun, Cause> {
        let added = PageRun::new(run.end(), more.pages);
        let refused = Cause::NotReady {
            bytes: added.bytes::<M>(),
        };
        let taken = {
            let mut page = self.page.lock();
            let page = &mut *page;
            if Self::CACHES_PAGES && page.cache.holds_any(added) {
                self.flush_page_cache(page);
            }
            self.pages
                .extend(&mut page.pages, run, more.pages)
                .ok_or(refused)?
        };
        let may_grow = !flags.contains(AllocFlags::NO_GROW);
        let ready = if Self::is_ready(taken) {
            self.ledger
                .transfer(Purpose::Free, Purpose::Objects, added.bytes::<M>());
            if may_grow {
                self.obtain_bits(opened, more.scan, added)
            } else {
                self.keep_if_claimed(more.scan, ReadyRun::used(added))
            }
        } else if may_grow {
            self.commit_found(opened, more.scan, added)
        } else {
            self.settle(added, Err(refused))
        };
        ready.map(|ready| ready.run)
    }
}

/// Zeroes what lies beyond `kept` bytes of an object that the caller owns.
pub(super) fn clear_tail(memory: NonNull<[u8]>, kept: usize) {
    let Some(bytes) = memory.len().checked_sub(kept) else {
        return;
    };
    // SAFETY: `kept` is not above the length of the object.
    let tail = unsafe { memory.cast::<u8>().add(kept) };
    // SAFETY: the bytes up to the end of the object are Ready and the caller's.
    unsafe { tail.write_bytes(0, bytes) };
}
