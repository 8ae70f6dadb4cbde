//! Reallocation of objects that the bitmap describes, before or afterwards.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::super::Heap;
use super::super::object::AllocError;
use super::super::resize::clear_tail;
use crate::base::PageRun;
use crate::bits::Description;
use crate::span::{Central, Scan};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Changes the size of an object to that of `new`, and has the bitmap describe it as `object`.
    /// The object may have been a scannable one or not. It stays where it is if it goes on being what
    /// it was, and if its class stays or, for a large object, the pages behind it are free and their
    /// bitmap can be had; else it moves. With [`AllocFlags::ZEROED`] the bytes beyond the old size
    /// are zero.
    ///
    /// [`reallocate`](Self::reallocate), which knows of no bits, refuses scannable objects.
    ///
    /// # Errors
    /// As [`allocate_scannable`](Self::allocate_scannable). The object stays where it is, with its old
    /// layout and bits.
    /// # Safety
    /// As for [`reallocate`](Self::reallocate).
    /// # Locks
    /// As [`allocate`](Self::allocate).
    /// # Cost
    /// As [`reallocate`](Self::reallocate); all bits of the object are written, its special bit with
    /// them.
    pub unsafe fn reallocate_scannable(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        object: &Description<'_>,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        Self::check_description(new, object).map_err(|cause| AllocError { layout: new, cause })?;
        let memory = match self.resize_described(pointer, old, new, object, flags) {
            Some(memory) => memory,
            None => {
                let memory =
                    self.allocate_scannable(new, object, flags.difference(AllocFlags::ZEROED))?;
                let bytes = old.size().min(new.size());
                // SAFETY: both objects are live, different, and at least `bytes` long.
                unsafe { pointer.copy_to_nonoverlapping(memory.cast::<u8>(), bytes) };
                // SAFETY: the caller allocated `pointer` with `old` and uses it no more.
                unsafe { self.deallocate(pointer, old) };
                memory
            }
        };
        if flags.contains(AllocFlags::ZEROED) {
            clear_tail(memory, old.size());
        }
        Ok(memory)
    }

    /// Changes the size of an object where it stands, and describes it anew; `None` if it has to
    /// move.
    fn resize_described(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        object: &Description<'_>,
        flags: AllocFlags,
    ) -> Option<NonNull<[u8]>> {
        let opened = self.opened.get()?;
        if old.size() == 0 || new.size() == 0 || self.early.holds(pointer) {
            return None;
        }
        let is_scannable = object.described() > 0;
        if is_scannable != self.is_scannable(opened, pointer) {
            return None;
        }
        let scan = if is_scannable { Scan::YES } else { Scan::NO };
        let memory = self.resize_in_place(opened, pointer, (old, new), scan, flags)?;
        if is_scannable {
            // Words of pages that were added are dead until here.
            self.describe_object(opened, memory, object);
        }
        Some(memory)
    }

    /// Clears the bits of pages that a large object, whose owner calls, is about to give back.
    pub(in super::super) fn clear_given_back(&self, scan: Scan, run: PageRun) {
        if scan.is_yes() {
            self.clear_run(run);
        }
    }

    /// Gives up the claim on the bitmap in front of pages that a large object gives back.
    pub(in super::super) fn release_given_back(
        &self,
        scan: Scan,
        central: &mut Central,
        run: PageRun,
    ) {
        if scan.is_yes() {
            self.release_bits(central, run);
        }
    }
}
