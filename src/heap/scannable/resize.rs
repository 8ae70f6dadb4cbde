//! Reallocation of objects that are scannable before or afterwards.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use crate::bits::Description;
use crate::heap::object_heap::Heap;
use crate::heap::request::{AllocError, refusal};
use crate::heap::resize::{Denied, Resize};
use crate::heap::scannable::NewBits;
use crate::span::Scan;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Changes the size of an object to that of `new`, and has the bitmap describe it as `object`.
    ///
    /// The object may have been scannable or not. It is resized in place if it stays scannable (or
    /// stays not) and either its size class is unchanged or, for a large object, the following
    /// pages are free and their bitmap can be committed; else it moves. With [`AllocFlags::ZEROED`]
    /// the bytes beyond the old size are zero.
    ///
    /// A shrink never fails, as that of [`reallocate`](Self::reallocate), unless the object becomes
    /// scannable. One that ceases to be scannable and finds no memory to move to stays scannable,
    /// with a description of no pointers.
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
        let refused = |cause| refusal(self, new, cause);
        Self::check_description(new, object).map_err(refused)?;
        let resize = Resize {
            pointer,
            old,
            new,
            flags,
            bits: NewBits::described(Scan::when(object.described() > 0)),
        };
        // SAFETY: the caller's promise is the same.
        let resized = unsafe {
            resize.run(self, |flags| match self.allocate_fast(new, object, flags) {
                Some(memory) => Ok(memory),
                None => self.allocate_described(new, object, flags),
            })
        };
        let resized = match resized {
            Ok(resized) => resized,
            Err(Denied::Cause(cause)) => return Err(refused(cause)),
            Err(Denied::Misuse(misuse)) => self.stop_misused(pointer, old, misuse),
        };
        if resized.is_copy {
            // SAFETY: the caller allocated `pointer` with `old` and uses it no more.
            unsafe { self.deallocate(pointer, old) };
        } else if let (true, Some(online)) = (resized.scan.is_yes(), self.pages.online()) {
            // Words of pages that were added are dead until here.
            // SAFETY: the caller owns the object, which was resized to that length.
            unsafe { self.describe_object(online, resized.memory, object) };
        }
        Ok(resized.memory)
    }
}
