//! Reallocation of objects that are scannable before or afterwards.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use crate::bits::Description;
use crate::heap::object_heap::Heap;
use crate::heap::request::AllocError;
use crate::heap::resize::clear_tail;
use crate::span::Scan;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Changes the size of an object to that of `new`, and has the bitmap describe it as `object`.
    ///
    /// The object may have been scannable or not. It is resized in place if it stays scannable (or
    /// stays not) and either its size class is unchanged or, for a large object, the following
    /// pages are free and their bitmap can be committed; else it moves. With [`AllocFlags::ZEROED`]
    /// the bytes beyond the old size are zero.
    ///
    /// [`reallocate`](Self::reallocate), which takes no description, refuses scannable objects.
    ///
    /// # Errors
    /// As [`allocate_scannable`](Self::allocate_scannable). The object stays where it is, with its
    /// old layout and bits.
    /// # Safety
    /// As for [`reallocate`](Self::reallocate).
    /// # Locks
    /// As [`allocate`](Self::allocate).
    /// # Cost
    /// As [`reallocate`](Self::reallocate); all bits of the object are written, its special bit
    /// with them.
    pub unsafe fn reallocate_scannable(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        object: &Description<'_>,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        Self::check_description(new, object).map_err(|cause| AllocError { layout: new, cause })?;
        // SAFETY: the caller's promise is the same.
        let memory = match unsafe { self.resize_described(pointer, old, new, object, flags) } {
            Some(memory) => memory,
            None => {
                let memory =
                    self.allocate_scannable(new, object, flags.difference(AllocFlags::ZEROED))?;
                let bytes = old.size().min(new.size());
                // SAFETY: `copy_to_nonoverlapping` needs
                // - both objects live and at least `bytes` long: one is the caller's, one was just
                //   made;
                // - no overlap: they are different objects.
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

    /// Changes the size of an object where it stands, and describes it again; `None` if it has to
    /// move.
    ///
    /// # Safety
    /// As for [`reallocate`](Self::reallocate).
    unsafe fn resize_described(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        object: &Description<'_>,
        flags: AllocFlags,
    ) -> Option<NonNull<[u8]>> {
        let online = self.pages.online()?;
        if old.size() == 0 || new.size() == 0 || self.early.holds(pointer) {
            return None;
        }
        let is_scannable = object.described() > 0;
        if is_scannable != self.is_scannable(online, pointer) {
            return None;
        }
        let scan = Scan::when(is_scannable);
        // SAFETY: the object is the caller's, as it promises.
        let memory = unsafe { self.resize_in_place(online, pointer, (old, new), scan, flags) }?;
        if is_scannable {
            // Words of pages that were added are dead until here.
            // SAFETY: the caller owns the object, which was resized to that length.
            unsafe { self.describe_object(online, memory, object) };
        }
        Some(memory)
    }
}
