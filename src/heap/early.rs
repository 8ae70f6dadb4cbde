//! The early heap: a static region, until the kernel has paging.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use archipelago_api::Kernel;

use crate::base::held::HeapNumber;
use crate::base::lock::{RankedLock, rank};
use crate::base::sync::{AtomicBool, Ordering};

/// Memory for the early heap: a `static` of the kernel, as large as it likes. It takes no room in
/// the image's file. One heap serves from it, the first that needs to; any other has no early heap.
///
/// ```
/// static EARLY: archipelago::EarlyRegion<{ 64 * 1024 }> = archipelago::EarlyRegion::new();
/// ```
#[repr(C, align(16))]
pub struct EarlyRegion<const BYTES: usize> {
    bytes: UnsafeCell<[MaybeUninit<u8>; BYTES]>,
    /// A heap serves from it.
    taken: AtomicBool,
}

// SAFETY: the bytes are reached through the one early heap that took the region, which hands each
// out once, under its lock.
unsafe impl<const BYTES: usize> Sync for EarlyRegion<BYTES> {}

impl<const BYTES: usize> EarlyRegion<BYTES> {
    /// A region with nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new([const { MaybeUninit::uninit() }; BYTES]),
            taken: AtomicBool::new(false),
        }
    }
}

impl<const BYTES: usize> Default for EarlyRegion<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BYTES: usize> fmt::Debug for EarlyRegion<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EarlyRegion({BYTES} bytes)")
    }
}

/// The early heap over a region, or over none.
pub(crate) struct Early<K: Kernel> {
    region: Option<Region<K>>,
    heap: RankedLock<Inner, K, { rank::EARLY }>,
}

struct Inner {
    heap: linked_list_allocator::Heap,
    /// The region is this heap's.
    started: bool,
}

/// The least memory that the allocator can work with: its header at the start of a hole.
const LEAST_BYTES: usize = 2 * size_of::<usize>();

/// The region, by its start and length, and the functions that serve from it. A heap without a
/// region names neither function, so that nothing of them is linked.
struct Region<K: Kernel> {
    start: NonNull<u8>,
    bytes: usize,
    taken: &'static AtomicBool,
    allocate: fn(&Early<K>, &Self, Layout) -> Option<NonNull<u8>>,
    deallocate: unsafe fn(&Early<K>, NonNull<u8>, Layout) -> bool,
}

// SAFETY: a region is a static; its bytes are handed out under the lock.
unsafe impl<K: Kernel> Send for Region<K> {}
// SAFETY: as above.
unsafe impl<K: Kernel> Sync for Region<K> {}

impl<K: Kernel> Early<K> {
    /// No early heap.
    pub(crate) const fn none() -> Self {
        Self {
            region: None,
            heap: RankedLock::new(Inner::new()),
        }
    }

    /// An early heap in `region`.
    pub(crate) const fn new<const BYTES: usize>(region: &'static EarlyRegion<BYTES>) -> Self {
        let start = NonNull::new(region.bytes.get().cast::<u8>());
        let region = match start {
            Some(start) if BYTES >= LEAST_BYTES => Some(Region {
                start,
                bytes: BYTES,
                taken: &region.taken,
                allocate: Self::allocate_in,
                deallocate: Self::deallocate_in,
            }),
            _ => None,
        };
        Self {
            region,
            heap: RankedLock::new(Inner::new()),
        }
    }

    /// The lock is one of `heap`.
    #[inline(always)]
    pub(crate) fn join(&self, heap: HeapNumber) {
        self.heap.join(heap);
    }

    /// Whether `pointer` lies in the region.
    #[inline]
    pub(crate) fn holds(&self, pointer: NonNull<u8>) -> bool {
        self.region.as_ref().is_some_and(|region| {
            pointer.addr().get().wrapping_sub(region.start.addr().get()) < region.bytes
        })
    }

    /// Memory for `layout`, if there is room.
    pub(crate) fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        let region = self.region.as_ref()?;
        (region.allocate)(self, region, layout)
    }

    fn allocate_in(&self, region: &Region<K>, layout: Layout) -> Option<NonNull<u8>> {
        let end = region.start.addr().get().checked_add(region.bytes)?;
        if layout.size() > region.bytes || !stays_below_the_top(end, layout) {
            return None;
        }
        let mut inner = self.heap.lock();
        if !inner.started {
            if region.taken.swap(true, Ordering::Relaxed) {
                return None;
            }
            inner.started = true;
            // SAFETY: `init` needs
            // - memory that is writable and outlives the heap: the region is a static;
            // - that nothing else uses it: this heap alone has taken the region, just now;
            // - at least `LEAST_BYTES` of it: a shorter region is not kept.
            unsafe { inner.heap.init(region.start.as_ptr(), region.bytes) };
        }
        inner.heap.allocate_first_fit(layout).ok()
    }

    /// Gives memory back; `false` if this heap never handed any out.
    ///
    /// # Safety
    /// `pointer` lies in the region, was allocated from it with `layout`, and is not used any more.
    pub(crate) unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) -> bool {
        match &self.region {
            // SAFETY: the caller's promise is the same.
            Some(region) => unsafe { (region.deallocate)(self, pointer, layout) },
            None => false,
        }
    }

    /// # Safety
    /// As for [`deallocate`](Self::deallocate).
    unsafe fn deallocate_in(&self, pointer: NonNull<u8>, layout: Layout) -> bool {
        let mut inner = self.heap.lock();
        if inner.started {
            // SAFETY: the caller's promise; the region is this heap's, so that it was allocated
            // here.
            unsafe { inner.heap.deallocate(pointer, layout) };
        }
        inner.started
    }

    /// Bytes of the region.
    pub(crate) fn bytes(&self) -> usize {
        self.region.as_ref().map_or(0, |region| region.bytes)
    }
}

/// Whether no place for `layout` that is sought below `end` passes the top of the address space:
/// the allocator's own arithmetic wraps there, where the image of a higher-half kernel is.
fn stays_below_the_top(end: usize, layout: Layout) -> bool {
    end.checked_add(LEAST_BYTES)
        .and_then(|above| above.checked_next_multiple_of(layout.align()))
        .and_then(|start| start.checked_add(layout.size().max(LEAST_BYTES)))
        .and_then(|last| last.checked_next_multiple_of(LEAST_BYTES))
        .is_some()
}

impl Inner {
    const fn new() -> Self {
        Self {
            heap: linked_list_allocator::Heap::empty(),
            started: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_past_the_top_of_the_address_space_is_not_sought() {
        let end = usize::MAX - (1 << 20) + 1;
        let sought = |size, align| {
            stays_below_the_top(end, Layout::from_size_align(size, align).expect("a layout"))
        };
        assert!(sought(100, 8) && sought(100, 1 << 19));
        assert!(!sought(100, 1 << 20) && !sought(100, 1 << (usize::BITS - 2)));
        assert!(!sought((1 << 20) - LEAST_BYTES, 8));
        let below = |align| {
            stays_below_the_top(
                1 << 20,
                Layout::from_size_align(8, align).expect("a layout"),
            )
        };
        assert!(below(1 << 20) && below(1 << (usize::BITS - 2)));
    }
}
