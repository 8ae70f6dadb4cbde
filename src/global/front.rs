//! `GlobalAlloc`, for `#[global_allocator]`.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use archipelago_api::{AllocFlags, Kernel, Machine};

use crate::heap::{AtOnce, Cpus, ForAnother, Heap, Missed, announce_first, deallocate_slowly};
use crate::span::{MappedSpan, Tag};

/// Allocates memory for `layout`, of at least one byte, if the CPU that this runs on has a slot for
/// it at hand: for front ends that prepare something before they make any other request.
///
/// The memory is freed as any other object of the heap.
///
/// # Errors
/// The request, for [`alloc_soon`] to go on with. It says nothing of whether there is memory.
/// # Cost
/// Some 20 instructions, and no lock.
#[inline(always)]
pub fn alloc_at_once<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    layout: Layout,
) -> Result<NonNull<u8>, Missed<'_>> {
    let (start, _) = heap.cpus().alloc_at_once(layout)?;
    Ok(start)
}

/// Allocates memory for a layout that [`alloc_at_once`] had none for, of the CPU's next span, if
/// that is soon done. `None` says nothing of whether there is memory: [`alloc_slowly`] then finds
/// it in every way that there is.
///
/// # Safety
/// - [`alloc_at_once`] of this heap has returned `missed` for the layout.
/// - This follows on the same CPU, in the same thread or handler, unless threads may come between
///   in any case ([`Reentry::THREADS`](archipelago_api::Reentry::THREADS)).
/// # Cost
/// Some 30 instructions, and no lock.
#[inline(always)]
pub unsafe fn alloc_soon<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    missed: Missed<'_>,
) -> Option<NonNull<u8>> {
    // SAFETY: the caller's promise is the same.
    unsafe { heap.cpus().alloc_next(missed) }
}

/// Allocates memory for `layout`, of at least one byte, for which [`alloc_soon`] had none; null if
/// it is refused.
///
/// # Locks
/// As [`Heap::allocate`].
#[inline(always)]
pub fn alloc_slowly<M: Machine, K: Kernel>(heap: &Heap<M, K>, layout: Layout) -> *mut u8 {
    slowly(heap, layout.align(), layout.size())
}

/// [`alloc_slowly`], of memory that is zero.
///
/// # Locks
/// As [`Heap::allocate`].
#[inline(always)]
pub fn alloc_zeroed_slowly<M: Machine, K: Kernel>(heap: &Heap<M, K>, layout: Layout) -> *mut u8 {
    zeroed_slowly(heap, layout.align(), layout.size())
}

// SAFETY: `GlobalAlloc` needs
// - memory for the layout: what `allocate` hands out is Ready, aligned, as large as asked for, and
//   shared with nobody until it is freed;
// - no unwinding: functions of the ABI "C" let no panic out, should `Kernel::stop` panic.
unsafe impl<M: Machine, K: Kernel> GlobalAlloc for Heap<M, K> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !Self::HAS_CPUS {
            return contained(|| pointer_or_null(self.allocate(layout, K::context()).ok()));
        }
        match alloc_at_once(self, layout) {
            Ok(start) => start.as_ptr(),
            // SAFETY: the request is this one.
            Err(missed) => unsafe { soon(self, layout.align(), layout.size(), missed) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !Self::HAS_CPUS {
            let flags = K::context().union(AllocFlags::ZEROED);
            return contained(|| pointer_or_null(self.allocate(layout, flags).ok()));
        }
        match alloc_at_once(self, layout) {
            Ok(start) => {
                // SAFETY: the slot is the caller's, and as long as the layout.
                unsafe { start.write_bytes(0, layout.size()) };
                start.as_ptr()
            }
            // SAFETY: the request is this one.
            Err(missed) => unsafe { zeroed_soon(self, layout.align(), layout.size(), missed) },
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if !Self::HAS_CPUS {
            if let Some(pointer) = NonNull::new(pointer) {
                // SAFETY: the caller's promise is that of `GlobalAlloc::dealloc`, which is the
                // same.
                contained(|| unsafe { self.deallocate(pointer, layout) });
            }
            return;
        }
        // SAFETY: memory that was handed out has an address.
        let start = unsafe { NonNull::new_unchecked(pointer) };
        // SAFETY: the caller's promise is the same.
        match unsafe { self.cpus().free_at_once(start, layout) } {
            AtOnce::Done => {}
            // SAFETY: as above.
            AtOnce::Elsewhere(span, own) => unsafe {
                dealloc_for_another(self, pointer, layout.align(), layout.size(), span, own);
            },
            // SAFETY: as above.
            AtOnce::Refused => unsafe {
                dealloc_elsewhere(self, pointer, layout.align(), layout.size());
            },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(pointer) = NonNull::new(pointer) else {
            return ptr::null_mut();
        };
        // SAFETY: a layout's alignment is a power of two, and the caller promises that the new
        // size, rounded up to it, is at most `isize::MAX`.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if Self::HAS_CPUS {
            // SAFETY: the caller's promise is the same.
            if let Some(memory) = unsafe { realloc_at_once(self, pointer, layout, new) } {
                return memory.as_ptr();
            }
        }
        // SAFETY: the caller's promise is that of `GlobalAlloc::realloc`, which is the same.
        let memory = contained(|| unsafe { self.reallocate(pointer, layout, new, K::context()) });
        pointer_or_null(memory.ok())
    }
}

/// Reallocates an object of the CPU's own spans, to the same slot or to one that is soon found.
/// `None` if that is not so, and nothing has changed.
///
/// # Safety
/// As for `GlobalAlloc::realloc`.
// A function of its own for the sake of the stack where nothing is optimised.
#[inline]
unsafe fn realloc_at_once<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    pointer: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<u8>> {
    let place = Cpus::<M, K>::place_of(old);
    // Before it is read: what is no object of this layout is reported by the longer way.
    // SAFETY: the caller's promise is the same.
    if !unsafe { heap.cpus().is_at_hand(pointer, place) } {
        return None;
    }
    if place == Cpus::<M, K>::place_of(new) {
        return Some(pointer);
    }
    let memory = match alloc_at_once(heap, new) {
        Ok(memory) => memory,
        // SAFETY: the request is this one.
        Err(missed) => unsafe { alloc_soon(heap, missed) }?,
    };
    let bytes = old.size().min(new.size());
    // SAFETY: the object and the new memory have so many bytes, and are not the same.
    unsafe { memory.copy_from_nonoverlapping(pointer, bytes) };
    // SAFETY: the object was allocated with this layout, and nothing uses it any more.
    unsafe { heap.dealloc(pointer.as_ptr(), old) };
    Some(memory)
}

// The ways that most requests do not take: out of line, with the arguments that they came with, so
// that the others save no register and end in a jump.

/// # Safety
/// As for [`alloc_soon`].
#[cold]
#[inline(never)]
unsafe extern "C" fn soon<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    align: usize,
    size: usize,
    missed: Missed<'_>,
) -> *mut u8 {
    // SAFETY: the caller's promise is the same.
    match unsafe { alloc_soon(heap, missed) } {
        Some(start) => start.as_ptr(),
        None => slowly(heap, align, size),
    }
}

/// # Safety
/// As for [`alloc_soon`].
#[cold]
#[inline(never)]
unsafe extern "C" fn zeroed_soon<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    align: usize,
    size: usize,
    missed: Missed<'_>,
) -> *mut u8 {
    // SAFETY: the caller's promise is the same.
    let Some(start) = (unsafe { alloc_soon(heap, missed) }) else {
        return zeroed_slowly(heap, align, size);
    };
    // SAFETY: the slot is the caller's, and as long as the layout.
    unsafe { start.write_bytes(0, size) };
    start.as_ptr()
}

#[cold]
#[inline(never)]
extern "C" fn slowly<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    align: usize,
    size: usize,
) -> *mut u8 {
    // SAFETY: the numbers are those of a layout.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    alloc_with(heap, layout, K::context())
}

#[cold]
#[inline(never)]
extern "C" fn zeroed_slowly<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    align: usize,
    size: usize,
) -> *mut u8 {
    let flags = K::context().union(AllocFlags::ZEROED);
    // SAFETY: the numbers are those of a layout.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    alloc_with(heap, layout, flags)
}

#[inline(always)]
fn alloc_with<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    layout: Layout,
    flags: AllocFlags,
) -> *mut u8 {
    let place = Cpus::<M, K>::place_of(layout);
    let Some(Ok((start, is_zeroed))) = heap.cpus().alloc_owned(place, flags) else {
        return pointer_or_null(heap.allocate(layout, flags).ok());
    };
    if flags.contains(AllocFlags::ZEROED) && !is_zeroed {
        // SAFETY: the slot is the caller's, and as long as the layout.
        unsafe { start.write_bytes(0, layout.size()) };
    }
    start.as_ptr()
}

/// # Safety
/// As for `GlobalAlloc::dealloc`.
#[cold]
#[inline(never)]
unsafe extern "C" fn dealloc_for_another<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    pointer: *mut u8,
    align: usize,
    size: usize,
    span: MappedSpan,
    own: Tag,
) {
    // SAFETY: memory that was handed out has an address.
    let start = unsafe { NonNull::new_unchecked(pointer) };
    // SAFETY: the caller's promise is the same.
    match unsafe { heap.cpus().free_for_another(span, start, own) } {
        ForAnother::Done => {}
        ForAnother::First(freed) => announce_first(heap, freed),
        // SAFETY: as above.
        ForAnother::Refused => unsafe { dealloc_elsewhere(heap, pointer, align, size) },
    }
}

/// # Safety
/// As for `GlobalAlloc::dealloc`.
#[cold]
#[inline(never)]
unsafe extern "C" fn dealloc_elsewhere<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    pointer: *mut u8,
    align: usize,
    size: usize,
) {
    // SAFETY: the numbers are those of a layout.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: memory that was handed out has an address.
    let start = unsafe { NonNull::new_unchecked(pointer) };
    // SAFETY: the caller's promise is the same.
    if unsafe { heap.cpus().free_elsewhere(start, layout) } {
        return;
    }
    // SAFETY: as above.
    unsafe { dealloc_slowly(heap, pointer, align, size) };
}

/// # Safety
/// As for `GlobalAlloc::dealloc`.
#[cold]
#[inline(never)]
unsafe extern "C" fn dealloc_slowly<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    pointer: *mut u8,
    align: usize,
    size: usize,
) {
    // SAFETY: the numbers are those of a layout.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    if let Some(pointer) = NonNull::new(pointer) {
        // SAFETY: the caller's promise is that of `GlobalAlloc::dealloc`, which is the same.
        unsafe { deallocate_slowly(heap, pointer, layout) };
    }
}

/// Runs `work`. A panic in it, of a kernel that stops by one, ends the program: it must not unwind
/// through an allocation. Where panics abort this is no code.
#[inline(always)]
extern "C" fn contained<R>(work: impl FnOnce() -> R) -> R {
    work()
}

fn pointer_or_null(memory: Option<NonNull<[u8]>>) -> *mut u8 {
    memory.map_or(ptr::null_mut(), |memory| memory.cast::<u8>().as_ptr())
}
