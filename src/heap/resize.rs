//! Reallocation: in place where the class or the following pages allow it.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::alloc::alloc_quickly;
use super::early::Fate;
use super::lookup::{Location, is_aligned};
use super::misuse::Misuse;
use super::object_heap::Heap;
use super::request::{AllocError, ReallocError, refusal};
use super::scannable::{NewBits, cut_bits};
use crate::arena::SpanHandle;
use crate::base::PageRun;
use crate::pageheap::Want;
use crate::region::Cause;
use crate::span::Scan;

/// A change of an object's size.
// The heap is no field: the compiler then knows of a program's one heap where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resize {
    pub(super) pointer: NonNull<u8>,
    pub(super) old: Layout,
    pub(super) new: Layout,
    pub(super) flags: AllocFlags,
    /// The object's description afterwards.
    pub(super) bits: NewBits,
}

/// An object that has its new size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resized {
    pub(super) memory: NonNull<[u8]>,
    /// The memory is a copy, and the old object is to be freed.
    pub(super) is_copy: bool,
    /// Whether it is where it was, and scannable.
    #[cfg_attr(
        not(feature = "heap-bits"),
        expect(dead_code, reason = "it takes no room here")
    )]
    pub(super) scan: Scan,
}

/// A reason for which an object keeps its size.
#[derive(Clone, Copy, Debug)]
pub(super) enum Denied {
    /// The caller has no such object.
    Misuse(Misuse),
    /// The request is refused.
    Cause(Cause),
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Changes the size of an object to that of `new`, in place if its class stays or, for a large
    /// object, if the following pages are free; else by moving it. With [`AllocFlags::ZEROED`] the
    /// bytes beyond the old size are zero.
    ///
    /// A **shrink** never fails: to a size that is not larger, and an alignment that the address
    /// has. If there is no memory to move to, the object stays where it is; a large one gives the
    /// pages beyond the new size back. A scannable object (feature `heap-bits`) shrinks where it
    /// is, and its words beyond the new size are dead. `new` is then the layout of the object, for
    /// [`deallocate`](Self::deallocate) as for the next reallocation, although its slot is larger.
    ///
    /// # Errors
    /// [`AllocError`]: the object stays where it is, with its old layout.
    /// [`Cause::Scannable`] for a scannable object that is not to shrink.
    /// # Safety
    /// - `pointer` was allocated by this heap with `old`, or reallocated to it.
    /// - No other call frees or reallocates the object meanwhile.
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
        // SAFETY: the caller's promise is the same.
        match unsafe { self.resize(pointer, old, new, flags) } {
            Ok(resized) => {
                if resized.is_copy {
                    // SAFETY: the caller allocated `pointer` with `old` and uses it no more.
                    unsafe { self.deallocate(pointer, old) };
                }
                Ok(resized.memory)
            }
            Err(Denied::Cause(cause)) => Err(refusal(self, new, cause)),
            Err(Denied::Misuse(misuse)) => self.stop_misused(pointer, old, misuse),
        }
    }

    /// [`reallocate`](Self::reallocate), which also accepts what is no object: any number
    /// whatsoever, and a layout that is not the object's. The first lock section checks both.
    ///
    /// # Errors
    /// [`ReallocError::Misuse`] with a report of what was found, for which `deallocate` would stop
    /// the machine; [`ReallocError::Refused`] as `reallocate`. Nothing has changed.
    /// # Safety
    /// *If* an object with the layout `old` begins at `pointer`, it is the caller's:
    /// - no other call frees or reallocates it meanwhile;
    /// - after success it is not used any more; `new` is the layout from then on.
    /// # Locks
    /// As [`allocate`](Self::allocate).
    /// # Cost
    /// As [`reallocate`](Self::reallocate).
    pub unsafe fn try_reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, ReallocError> {
        // SAFETY: the caller's promise is the same.
        match unsafe { self.resize(pointer, old, new, flags) } {
            Ok(resized) => {
                if resized.is_copy {
                    // SAFETY: the object is the caller's, which uses it no more.
                    unsafe { self.try_deallocate(pointer, old) }.map_err(ReallocError::Misuse)?;
                }
                Ok(resized.memory)
            }
            Err(Denied::Cause(cause)) => {
                let error = refusal(self, new, cause);
                Err(ReallocError::Refused(error))
            }
            Err(Denied::Misuse(misuse)) => {
                Err(ReallocError::Misuse(self.report(pointer, old, misuse)))
            }
        }
    }

    /// # Safety
    /// As for [`try_reallocate`](Self::try_reallocate).
    unsafe fn resize(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: AllocFlags,
    ) -> Result<Resized, Denied> {
        let resize = Resize {
            pointer,
            old,
            new,
            flags,
            bits: NewBits::KEPT,
        };
        // SAFETY: the caller's promise is the same.
        unsafe { resize.run(self, |flags| alloc_quickly(self, new, flags)) }
    }
}

impl Resize {
    /// Changes the size in place, or copies the object to what `allocate` returns for the flags
    /// given, or, if that is nothing and the object shrinks, leaves it where it is.
    ///
    /// # Errors
    /// The reason why not; nothing has changed.
    /// # Safety
    /// If an object with the old layout begins at the pointer, it is the caller's, and nobody else
    /// frees it or changes its size.
    #[inline(always)]
    pub(super) unsafe fn run<M: Machine, K: Kernel>(
        &self,
        heap: &Heap<M, K>,
        allocate: impl Fn(AllocFlags) -> Result<NonNull<[u8]>, Cause>,
    ) -> Result<Resized, Denied> {
        let mut stays = false;
        loop {
            // SAFETY: the caller's promise is the same.
            if let Some((bytes, scan)) = unsafe { self.in_place(heap, stays) }? {
                let memory = NonNull::slice_from_raw_parts(self.pointer, bytes);
                return Ok(self.done(memory, false, scan));
            }
            match allocate(self.flags.difference(AllocFlags::ZEROED)) {
                // SAFETY: the object is the caller's, and was found.
                Ok(memory) => return Ok(unsafe { self.copy_to(memory) }),
                Err(cause) if stays || !self.shrinks() => return Err(Denied::Cause(cause)),
                Err(_) => stays = true,
            }
        }
    }

    /// Whether the object can have the new layout where it is, whatever its slot.
    fn shrinks(&self) -> bool {
        self.new.size() <= self.old.size() && self.is_aligned()
    }

    /// Whether the object's address has the new alignment.
    // Requests through `GlobalAlloc` never change it.
    fn is_aligned(&self) -> bool {
        self.new.align() <= self.old.align() || is_aligned(self.pointer, self.new)
    }

    /// Checks the object, and changes its size where it stands: to so many bytes, in a scannable
    /// span or not; `None` if it has to move. One that shrinks and `stays` does not have to, unless
    /// it is to be scannable and its span is not.
    ///
    /// # Errors
    /// The fault of the pointer or of the layout; [`Cause::Scannable`].
    /// # Safety
    /// As for [`run`](Self::run).
    #[inline]
    unsafe fn in_place<M: Machine, K: Kernel>(
        &self,
        heap: &Heap<M, K>,
        mut stays: bool,
    ) -> Result<Option<(usize, Scan)>, Denied> {
        let Self { pointer, new, .. } = *self;
        if self.old.size() == 0 {
            // Its address may be anything's.
            return Ok(None);
        }
        // The early heap has no bitmap.
        let cuts = stays && self.bits.allow(Scan::NO);
        let fate = if cuts {
            Fate::Cut(new.size())
        } else {
            Fate::Checked
        };
        let lists = heap.central.lock();
        // SAFETY:
        // - the object is gone before the lock is;
        // - a block is the caller's, which uses no more than the new size.
        let object = match unsafe { heap.object_or_block(pointer, self.old, fate) } {
            Ok(Some(object)) => object,
            Ok(None) if cuts => return Ok(Some((new.size(), Scan::NO))),
            Ok(None) => return Ok(None),
            Err(misuse) => return Err(Denied::Misuse(misuse)),
        };
        let (record, scan) = (object.span.record, object.span.scan());
        if self.bits.are_kept() && scan.is_yes() {
            if !self.shrinks() {
                return Err(Denied::Cause(Cause::Scannable));
            }
            stays = true;
        } else if !(self.bits.allow(scan) || stays && scan.is_yes()) {
            return Ok(None);
        }
        let table = Heap::<M, K>::TABLE;
        let (run, class) = (
            record.run::<M>(),
            match object.location {
                Location::Slot { class, .. } => Some(class),
                Location::Whole => None,
            },
        );
        let wanted = Heap::<M, K>::class_of(new);
        let fits = wanted == class && (class.is_some() || self.is_aligned());
        if new.size() == 0 || !(fits || stays) {
            return Ok(None);
        }
        if !fits {
            record.loosen();
        }
        drop(lists);
        let bytes = match class {
            Some(class) => table.size(class),
            None => {
                // SAFETY: the run is the object's, which is the caller's.
                match unsafe { self.resize_run(heap, (object.handle, run), scan) } {
                    Some(bytes) => bytes,
                    None => return Ok(None),
                }
            }
        };
        if self.bits.are_kept() {
            let memory = NonNull::slice_from_raw_parts(pointer, bytes);
            // SAFETY: the object is the caller's, and that long.
            unsafe { cut_bits(heap, scan, memory, new.size()) };
        }
        Ok(Some((bytes, scan)))
    }

    /// Clears what was asked for beyond the old size.
    fn done(&self, memory: NonNull<[u8]>, is_copy: bool, scan: Scan) -> Resized {
        if self.flags.contains(AllocFlags::ZEROED) {
            clear_tail(memory, self.old.size());
        }
        Resized {
            memory,
            is_copy,
            scan,
        }
    }

    /// Copies the object to `memory`.
    ///
    /// # Safety
    /// The object is live and the caller's, and `memory` was allocated for its new layout.
    unsafe fn copy_to(&self, memory: NonNull<[u8]>) -> Resized {
        let bytes = self.old.size().min(self.new.size());
        // SAFETY: `copy_to_nonoverlapping` needs
        // - both objects live and at least `bytes` long: the caller promises it;
        // - no overlap: they are different objects.
        unsafe {
            self.pointer
                .copy_to_nonoverlapping(memory.cast::<u8>(), bytes);
        };
        self.done(memory, true, Scan::NO)
    }

    /// Changes the length of a large object's run where it stands, and returns its bytes; `None`
    /// if that is not possible. To make it shorter always is.
    ///
    /// # Safety
    /// The object is the caller's, so that nobody else changes it.
    #[inline(always)]
    unsafe fn resize_run<M: Machine, K: Kernel>(
        &self,
        heap: &Heap<M, K>,
        (handle, run): (SpanHandle, PageRun),
        scan: Scan,
    ) -> Option<usize> {
        let online = heap.pages.online()?;
        // More than can be are not free.
        let pages = self.new.size().div_ceil(M::GEOMETRY.page_bytes());
        let added = if pages > run.count {
            let more = Want::pages(pages - run.count).for_scan(scan).that_grows();
            let added = heap.pages.extend(online, run, more, self.flags, heap);
            Some(added.ok()?.record())
        } else {
            None
        };
        let gone = PageRun::between(run.first.plus(pages), run.end());
        // SAFETY: the pages are the end of the object, whose owner calls.
        unsafe { heap.clear_run(scan, gone) };
        // Record and index change together, so that a walk over the spans sees neither without the
        // other.
        let _lists = heap.central.lock();
        online.records().get(handle).record.set_pages(pages);
        match added {
            Some(added) => heap.pages.index().set(added, Some(handle)),
            None if !gone.is_empty() => {
                // SAFETY: the pages were the end of the object, whose record names them no more,
                // and its owner, who calls, does not use them.
                unsafe { heap.free_unrecorded(scan, gone) };
            }
            None => {}
        }
        Some(pages << M::GEOMETRY.page_shift)
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
