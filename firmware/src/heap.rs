//! The heap: a pool guarded by critical sections.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use archipelago_api::{Fault, Kernel, Report, VirtAddr, VirtRange};

use crate::block::Block;
use crate::error::InitError;
use crate::pool::Pool;
use crate::stats::Stats;

/// A heap over one block of RAM, on a machine of one core.
///
/// The heap is made empty, for a `static`, and given its block later. Its metadata lies at the low
/// end of the block, apart from objects: free memory, and the memory after an object, hold no state
/// of the heap that a wrong write could damage.
///
/// `PAGE` is 256, 512 or 1024 bytes. Objects up to half a page share pages with others of their
/// size; larger ones have pages of their own. Small pages lose less to objects of many sizes, large
/// ones less to large objects.
///
/// # Locks
/// Every method is one critical section (two where an object moves): interrupts are masked through
/// `K` for a search of the page map at most, and never while bytes are copied or cleared. Handlers
/// may use the heap.
pub struct FirmwareHeap<K, const PAGE: usize = 256> {
    pool: UnsafeCell<Pool<PAGE>>,
    kernel: PhantomData<fn() -> K>,
}

// SAFETY: the pool is accessed in `with` alone, with interrupts masked. The caller of `init`
// promises that nothing else uses the heap then; before `init` nothing is written.
unsafe impl<K: Kernel, const PAGE: usize> Sync for FirmwareHeap<K, PAGE> {}
// SAFETY: the pool is accessed as for `Sync`, and the block's memory belongs to no thread.
unsafe impl<K: Kernel, const PAGE: usize> Send for FirmwareHeap<K, PAGE> {}

impl<K: Kernel, const PAGE: usize> FirmwareHeap<K, PAGE> {
    /// A heap without memory: it refuses every request.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            pool: UnsafeCell::new(Pool::EMPTY),
            kernel: PhantomData,
        }
    }

    /// Gives the heap its block: the whole pages of it, the first of which hold metadata.
    ///
    /// # Errors
    /// [`InitError`]: the heap is as it was.
    /// # Safety
    /// - The `bytes` bytes from `start` can be read and written, and nothing else uses them, for as
    ///   long as the heap or one of its objects is in use;
    /// - while `K` has masked interrupts, nothing else uses the heap: there is one core, or the
    ///   others keep away.
    /// # Cost
    /// Linear in the pages.
    pub unsafe fn init(&self, start: *mut u8, bytes: usize) -> Result<(), InitError> {
        let at = VirtAddr::new(start.addr());
        if VirtRange::new(at, bytes).is_none() {
            return Err(InitError::Wraps { start: at, bytes });
        }
        let too_small = InitError::TooSmall {
            start: at,
            bytes,
            page: PAGE,
        };
        // The byte at address 0, and with it its page, is the null pointer's.
        let left_out = usize::from(start.is_null());
        let start = NonNull::new(start.wrapping_add(left_out)).ok_or(too_small)?;
        let bytes = bytes.saturating_sub(left_out);
        self.with(|pool| {
            if pool.block.pages() > 0 {
                return Err(InitError::AlreadyInitialised);
            }
            // SAFETY: `Block::new` needs bytes for the block alone: the caller's first promise.
            let block = unsafe { Block::new(start, bytes) };
            *pool = Pool::new(block.ok_or(too_small)?);
            Ok(())
        })
    }

    /// Allocates memory for `layout`; `None` if there is none. A layout of size zero gets a
    /// dangling pointer.
    ///
    /// # Cost
    /// A search for the lowest slot or run that is free, through the page map from where one may
    /// be: a byte a page.
    #[must_use]
    pub fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return NonNull::new(ptr::without_provenance_mut(layout.align()));
        }
        self.with(|pool| pool.allocate(layout))
    }

    /// Frees an object. A pointer to no object, an object that is free, and a layout that is not
    /// the object's stop the machine with a report.
    ///
    /// # Safety
    /// `pointer` was allocated by this heap with `layout`, or reallocated to it, and is not used
    /// any more.
    /// # Cost
    /// Constant, but for a large object: linear in its pages.
    pub unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        // The report is made outside of the critical section, so that its printer may use the heap.
        if let Err(fault) = self.with(|pool| pool.free(pointer, layout)) {
            stop::<K>(fault, pointer, layout);
        }
    }

    /// Changes the size of an object to that of `new`, in place if its slot or the following pages
    /// allow; `None`, and the object is unchanged, if there is no memory.
    ///
    /// # Safety
    /// `pointer` was allocated by this heap with `old`, and `new` has the same alignment. After
    /// success it must not be used; `new` is the layout from then on.
    /// # Cost
    /// In place: linear in the pages that are added or given back. Else a copy of the smaller size.
    pub unsafe fn reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<u8>> {
        if old.size() != 0 && new.size() != 0 {
            match self.with(|pool| pool.resize(pointer, old, new)) {
                Ok(true) => return Some(pointer),
                Ok(false) => {}
                Err(fault) => stop::<K>(fault, pointer, old),
            }
        }
        let moved = self.allocate(new)?;
        let bytes = old.size().min(new.size());
        // SAFETY: `copy_to_nonoverlapping` needs
        // - memory of `bytes` bytes to read and to write: both objects are live and as long;
        // - no overlap: the objects are different.
        unsafe { pointer.copy_to_nonoverlapping(moved, bytes) };
        // SAFETY: `deallocate` needs an object that is not used any more: the caller allocated
        // `pointer` with `old`, and promised not to use it after success.
        unsafe { self.deallocate(pointer, old) };
        Some(moved)
    }

    /// The bytes that are used and free.
    ///
    /// # Cost
    /// Linear in the pages; interrupts are masked meanwhile.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.with(|pool| Stats::of(pool))
    }

    /// Checks the page map, the bitmaps and the bounds of searches against each other.
    ///
    /// # Errors
    /// The rule that is broken.
    /// # Cost
    /// Linear in the pages; interrupts are masked meanwhile.
    pub fn verify(&self) -> Result<(), &'static str> {
        self.with(|pool| pool.verify())
    }

    /// Runs `work` with interrupts masked.
    fn with<R>(&self, work: impl FnOnce(&mut Pool<PAGE>) -> R) -> R {
        let interrupts = K::disable_interrupts();
        // SAFETY: `&mut` needs exclusive access:
        // - interrupts are masked, and then nothing else uses the heap, as `init` was promised;
        // - `work` does not enter `with` again.
        let result = work(unsafe { &mut *self.pool.get() });
        K::restore_interrupts(interrupts);
        result
    }
}

// SAFETY:
// - memory from `allocate` is aligned, as large as its layout, and exclusive until it is freed;
// - no method unwinds.
unsafe impl<K: Kernel, const PAGE: usize> GlobalAlloc for FirmwareHeap<K, PAGE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        pointer_or_null(self.allocate(layout))
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: `deallocate` needs a live object and its layout, as `GlobalAlloc::dealloc`
            // does.
            unsafe { self.deallocate(pointer, layout) };
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new = Layout::from_size_align(new_size, layout.align()).ok();
        let (Some(pointer), Some(new)) = (NonNull::new(pointer), new) else {
            return ptr::null_mut();
        };
        // SAFETY: `reallocate` needs
        // - a live object and its layout, as `GlobalAlloc::realloc` does;
        // - a layout of the same alignment: `new` has it.
        pointer_or_null(unsafe { self.reallocate(pointer, layout, new) })
    }
}

impl<K: Kernel, const PAGE: usize> Default for FirmwareHeap<K, PAGE> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<K: Kernel, const PAGE: usize> fmt::Debug for FirmwareHeap<K, PAGE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FirmwareHeap").field(&self.stats()).finish()
    }
}

/// Stops the machine over `pointer`.
#[cold]
fn stop<K: Kernel>(fault: Fault, pointer: NonNull<u8>, layout: Layout) -> ! {
    K::stop(&Report {
        fault,
        address: Some(VirtAddr::new(pointer.addr().get())),
        layout: Some(layout),
        span: None,
    })
}

fn pointer_or_null(memory: Option<NonNull<u8>>) -> *mut u8 {
    memory.map_or(ptr::null_mut(), NonNull::as_ptr)
}
