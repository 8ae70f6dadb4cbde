//! Allocation: from a layout to an object.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::blocks::Cpus;
use super::object_heap::Heap;
use super::request::{AllocError, dangling, refusal};
use crate::pageheap::Online;
use crate::region::Cause;
use crate::span::{Place, SizeClass, SpanClass};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Allocates memory for `layout` as `flags` allow. A layout of size zero gets a dangling
    /// pointer of its alignment.
    ///
    /// The slice may be longer than asked for; all of it can be used.
    ///
    /// # Errors
    /// [`AllocError`] with the step that refused and its figures. Objects, free pages and ranges
    /// are as before.
    /// # Locks
    /// Takes central, the bitmap's (with the feature `heap-bits`), page, and unless
    /// [`AllocFlags::NO_GROW`] is set the growth gate. With
    /// interrupts masked it waits for no lock of the machine: where one is busy, the request is
    /// served as [`AllocFlags::ATOMIC`].
    /// # Cost
    /// A few dozen instructions where a span of the class has a free slot; otherwise a search for
    /// free pages, logarithmic in the address space, and calls of the machine for what is not
    /// Ready.
    #[inline]
    pub fn allocate(&self, layout: Layout, flags: AllocFlags) -> Result<NonNull<[u8]>, AllocError> {
        alloc_quickly(self, layout, flags).map_err(|cause| refusal(self, layout, cause))
    }

    /// The checks that come before a request that the early heap does not serve.
    ///
    /// # Errors
    /// [`Cause::NotInitialised`].
    #[inline]
    pub(super) fn ready_to_allocate(&self, flags: AllocFlags) -> Result<&Online<M>, Cause> {
        self.reject_machine(flags);
        self.pages.online().ok_or(Cause::NotInitialised)
    }

    /// Serves a request before the heap is initialised.
    fn allocate_early(&self, layout: Layout, flags: AllocFlags) -> Result<NonNull<[u8]>, Cause> {
        if !Self::MAY_BE_EARLY {
            return Err(Cause::NotInitialised);
        }
        let start = self.early.allocate(layout).ok_or(Cause::NotInitialised)?;
        if flags.contains(AllocFlags::ZEROED) {
            // SAFETY: the early heap has just handed out that many bytes.
            unsafe { start.write_bytes(0, layout.size()) };
        }
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    /// Allocates an object that no class serves.
    #[inline(always)]
    fn allocate_large(
        &self,
        online: &Online<M>,
        layout: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        self.alloc_large(online, Self::wanted(layout)?, flags)
    }
}

/// [`Heap::allocate`], also for a request within another: a refusal is not counted.
///
/// # Errors
/// The step that refused.
#[inline(always)]
pub(super) fn alloc_quickly<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    layout: Layout,
    flags: AllocFlags,
) -> Result<NonNull<[u8]>, Cause> {
    match at_once(heap, layout, flags) {
        Some(memory) => Ok(memory),
        None => allocate_uncounted(heap, layout, flags),
    }
}

// A function of its own for the sake of the stack where nothing is optimised.
#[inline]
fn at_once<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    layout: Layout,
    flags: AllocFlags,
) -> Option<NonNull<[u8]>> {
    let (start, place) = heap.cpus().alloc_at_once(layout).ok()?;
    let class = place.class(Heap::<M, K>::TABLE)?;
    Some(Cpus::<M, K>::cleared(start, class, flags))
}

/// [`alloc_quickly`], for a request that the CPU's current word does not serve.
///
/// # Errors
/// The step that refused.
pub(super) fn allocate_uncounted<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    layout: Layout,
    flags: AllocFlags,
) -> Result<NonNull<[u8]>, Cause> {
    if layout.size() == 0 {
        return Ok(NonNull::slice_from_raw_parts(dangling(layout), 0));
    }
    heap.reject_machine(flags);
    let Some(online) = heap.pages.online() else {
        return heap.allocate_early(layout, flags);
    };
    let Some(class) = Heap::<M, K>::class_of(layout) else {
        return heap.allocate_large(online, layout, flags);
    };
    let from_cpu = || {
        let place = Place::of(Heap::<M, K>::TABLE, class);
        let (start, is_zeroed) = heap.cpus().alloc_owned(place, flags)?.ok()?;
        let flags = if is_zeroed {
            AllocFlags::empty()
        } else {
            flags
        };
        Some(Cpus::<M, K>::cleared(start, class, flags))
    };
    if Heap::<M, K>::HAS_CPUS {
        if let Some(memory) = from_cpu() {
            return Ok(memory);
        }
    }
    let span_class = SpanClass::noscan(class);
    match heap.alloc_slot(online, span_class) {
        Some(slot) => Ok(heap.slot_memory(online, class, slot, flags)),
        None => {
            if Heap::<M, K>::HAS_CPUS && heap.cpus().make_block(online, flags).is_some() {
                // The span of this request is the first that the map names.
                if let Some(memory) = from_cpu() {
                    return Ok(memory);
                }
            }
            match heap.alloc_beyond(online, span_class, layout, flags) {
                Err(cause) => alloc_given_up(heap, online, class, flags).ok_or(cause),
                memory => memory,
            }
        }
    }
}

/// Allocates a slot that a CPU has given up, at last of a full span: for a request that would be
/// refused otherwise.
#[cold]
fn alloc_given_up<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    online: &Online<M>,
    class: SizeClass,
    flags: AllocFlags,
) -> Option<NonNull<[u8]>> {
    if !Heap::<M, K>::HAS_CPUS || flags.contains(AllocFlags::NO_GROW) {
        return None;
    }
    let get = || heap.alloc_slot(online, SpanClass::noscan(class));
    // A step that was refused has drained the CPUs, after the lists were looked at.
    let slot = get().or_else(|| {
        let is_any = heap.cpus().give_up_hidden(online, class);
        is_any.then(get)?
    })?;
    Some(heap.slot_memory(online, class, slot, flags))
}
