//! The early heap: a static region, until the kernel has paging.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::Heap;
use crate::region::Cause;

use crate::base::lock::{RankedLock, rank};

/// Memory for the early heap: a `static` of the kernel, as large as it likes. It takes no room in the image's file.
///
/// ```
/// static EARLY: archipelago::EarlyRegion<{ 64 * 1024 }> = archipelago::EarlyRegion::new();
/// ```
#[repr(C, align(16))]
pub struct EarlyRegion<const BYTES: usize> {
    bytes: UnsafeCell<[MaybeUninit<u8>; BYTES]>,
}

// SAFETY: the bytes are reached through the early heap alone, which hands each out once, under its lock.
unsafe impl<const BYTES: usize> Sync for EarlyRegion<BYTES> {}

impl<const BYTES: usize> EarlyRegion<BYTES> {
    /// A region with nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new([const { MaybeUninit::uninit() }; BYTES]),
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
pub(crate) struct Early<K> {
    region: Option<Region>,
    heap: RankedLock<Inner, K, { rank::EARLY }>,
}

struct Inner {
    heap: linked_list_allocator::Heap,
    started: bool,
}

/// The region, by its start and length.
#[derive(Clone, Copy)]
struct Region {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a region is a static; its bytes are handed out under the lock.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

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
            Some(start) if BYTES > 0 => Some(Region {
                start,
                bytes: BYTES,
            }),
            _ => None,
        };
        Self {
            region,
            heap: RankedLock::new(Inner::new()),
        }
    }

    /// Whether the early heap handed `pointer` out, live or not.
    #[inline]
    pub(crate) fn holds(&self, pointer: NonNull<u8>) -> bool {
        self.region.is_some_and(|region| {
            pointer.addr().get().wrapping_sub(region.start.addr().get()) < region.bytes
        })
    }

    /// Memory for `layout`, if there is room.
    pub(crate) fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        let region = self.region?;
        let mut inner = self.heap.lock();
        if !inner.started {
            inner.started = true;
            // SAFETY: `init` needs memory that is writable, unused and outlives the heap: the region is a static that is
            // reached through this heap alone, and it is given once.
            unsafe { inner.heap.init(region.start.as_ptr(), region.bytes) };
        }
        inner.heap.allocate_first_fit(layout).ok()
    }

    /// Gives memory back.
    ///
    /// # Safety
    /// `pointer` was allocated here with `layout` and is not used any more.
    pub(crate) unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        let mut inner = self.heap.lock();
        // SAFETY: the caller's promise.
        unsafe { inner.heap.deallocate(pointer, layout) };
    }

    /// Bytes of the region.
    pub(crate) fn bytes(&self) -> usize {
        self.region.map_or(0, |region| region.bytes)
    }
}

impl Inner {
    const fn new() -> Self {
        Self {
            heap: linked_list_allocator::Heap::empty(),
            started: false,
        }
    }
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// A heap that serves requests from `region` until it is initialised.
    ///
    /// Blocks from the region stay there; freeing them later finds them, and reallocating them moves them to the heap.
    #[must_use]
    pub const fn with_early<const BYTES: usize>(region: &'static EarlyRegion<BYTES>) -> Self {
        Self::build(Early::new(region))
    }

    /// Serves a request before the heap is initialised.
    pub(crate) fn allocate_early(
        &self,
        layout: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        let start = self.early.allocate(layout).ok_or(Cause::NotInitialised)?;
        if flags.contains(AllocFlags::ZEROED) {
            // SAFETY: the early heap has just handed out that many bytes.
            unsafe { start.write_bytes(0, layout.size()) };
        }
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    /// Frees `pointer` if it is the early heap's.
    ///
    /// # Safety
    /// As for [`deallocate`](Self::deallocate).
    pub(crate) unsafe fn deallocate_early(&self, pointer: NonNull<u8>, layout: Layout) -> bool {
        let is_early = self.early.holds(pointer);
        if is_early {
            // SAFETY: the caller allocated it with `layout`, and it lies in the early region.
            unsafe { self.early.deallocate(pointer, layout) };
        }
        is_early
    }
}
