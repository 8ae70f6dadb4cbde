//! The heap: a pool guarded by critical sections.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

use archipelago_api::{Kernel, Report, VirtAddr, VirtRange};

use crate::block::Block;
use crate::error::InitError;
use crate::misuse::Misuse;
use crate::pool::{Pool, is_aligned};
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
/// A request is one critical section (two where an object moves): interrupts are masked through
/// `K` for a search of the page map at most, and never while bytes are copied or cleared. Handlers
/// may use the heap. Until [`init`](Self::init) is over, calls from anywhere find a heap without
/// memory, and enter no critical section.
pub struct FirmwareHeap<K, const PAGE: usize = 256> {
    pool: UnsafeCell<Pool<PAGE>>,
    /// Whether the pool has its block: it is read before the pool is touched.
    is_ready: AtomicBool,
    /// Whether a call of `init` has the pool to itself, or had and has filled it.
    is_claimed: AtomicBool,
    kernel: PhantomData<fn() -> K>,
}

// SAFETY: until it is ready, the pool is accessed by the one call of `init` that has claimed it.
// Afterwards it is accessed in `with` alone, with interrupts masked, and the caller of `init`
// promises that nothing else uses the heap then.
unsafe impl<K: Kernel, const PAGE: usize> Sync for FirmwareHeap<K, PAGE> {}
// SAFETY: the pool is accessed as for `Sync`, and the block's memory belongs to no thread.
unsafe impl<K: Kernel, const PAGE: usize> Send for FirmwareHeap<K, PAGE> {}

impl<K: Kernel, const PAGE: usize> FirmwareHeap<K, PAGE> {
    /// A heap without memory: it refuses every request.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            pool: UnsafeCell::new(Pool::EMPTY),
            is_ready: AtomicBool::new(false),
            is_claimed: AtomicBool::new(false),
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
    /// - while `K` has masked interrupts, nothing else calls `init`, or uses the heap after this
    ///   call has succeeded: there is one core, or the others keep away.
    /// # Cost
    /// Linear in the pages; interrupts stay as they are.
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
        if !self.claim() {
            return Err(InitError::AlreadyInitialised);
        }
        // SAFETY: `Block::new` needs bytes for the block alone: the caller's first promise.
        let Some(block) = (unsafe { Block::new(start, bytes) }) else {
            self.is_claimed.store(false, Ordering::Relaxed);
            return Err(too_small);
        };
        // SAFETY: `write` needs memory that nothing else accesses: this call has claimed the pool,
        // and nothing touches a pool that is not ready.
        unsafe { self.pool.get().write(Pool::new(block)) };
        self.is_ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Claims the pool for the caller alone, unless it was claimed before.
    fn claim(&self) -> bool {
        #[cfg(target_has_atomic = "8")]
        let was_claimed = self.is_claimed.swap(true, Ordering::Relaxed);
        // Nothing comes between load and store, as the caller of `init` promises.
        #[cfg(not(target_has_atomic = "8"))]
        let was_claimed = {
            let interrupts = K::disable_interrupts();
            let was_claimed = self.is_claimed.load(Ordering::Relaxed);
            self.is_claimed.store(true, Ordering::Relaxed);
            // SAFETY: the state is of the last call, which masked interrupts on this CPU.
            unsafe { K::restore_interrupts(interrupts) };
            was_claimed
        };
        !was_claimed
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
        self.with(None, |pool| pool.allocate(layout))
    }

    /// Frees an object. A pointer to no object, an object that is free, and a layout that is not
    /// the object's stop the machine with a report: see [`try_deallocate`](Self::try_deallocate).
    ///
    /// # Safety
    /// `pointer` was allocated by this heap with `layout`, or reallocated to it, and is not used
    /// any more.
    /// # Cost
    /// Constant, but for a large object: linear in its pages.
    pub unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        if let Err(misuse) = unsafe { self.free(pointer, layout) } {
            stop::<K>(misuse, pointer, layout);
        }
    }

    /// Frees an object, if there is one with this layout at `pointer`, any number whatsoever. Check
    /// and free are one critical section.
    ///
    /// The layout is wrong if an object of it would not have been served by a slot of that size, or
    /// by so many pages, or if the address is not aligned to it. In a page where an object kept its
    /// slot when it shrank, because there was no memory for a smaller one, every layout is right
    /// that fits the slot; of a large object that kept its pages so, every layout of so many pages.
    ///
    /// # Errors
    /// A report of what was found, for which [`deallocate`](Self::deallocate) would stop the
    /// machine. Nothing has changed.
    /// # Safety
    /// *If* an object with this layout begins at `pointer`, it is the caller's, and nothing uses it
    /// any more.
    /// # Cost
    /// As [`deallocate`](Self::deallocate).
    pub unsafe fn try_deallocate(
        &self,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<(), Report> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.free(pointer, layout) }.map_err(|misuse| report(misuse, pointer, layout))
    }

    /// # Safety
    /// As for [`try_deallocate`](Self::try_deallocate).
    unsafe fn free(&self, pointer: NonNull<u8>, layout: Layout) -> Result<(), Misuse> {
        if layout.size() == 0 {
            return Ok(());
        }
        // The report is made outside of the critical section, so that its printer may use the heap.
        let absent = Err(Misuse::ForeignPointer);
        self.with(absent, |pool| pool.free(pointer, layout))
    }

    /// Changes the size of an object to that of `new`, in place if its slot or the following pages
    /// allow; `None`, and the object is unchanged, if there is no memory.
    ///
    /// A **shrink** never fails: to a size that is not larger, and an alignment that the address
    /// has. If there is no memory to move to, the object stays where it is, and a large one gives
    /// the pages beyond the new size back.
    ///
    /// # Safety
    /// `pointer` was allocated by this heap with `old`, or reallocated to it, and no other call
    /// frees or reallocates it meanwhile. After success it must not be used; `new` is the layout
    /// from then on.
    /// # Cost
    /// In place: linear in the pages that are added or given back. Else a copy of the smaller size.
    pub unsafe fn reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise is the same.
        match unsafe { self.resize(pointer, old, new) } {
            Ok(resized) => resized,
            Err(misuse) => stop::<K>(misuse, pointer, old),
        }
    }

    /// [`reallocate`](Self::reallocate), which also accepts what is no object: any number
    /// whatsoever, and a layout that is not the object's.
    ///
    /// # Errors
    /// A report of what was found, for which [`reallocate`](Self::reallocate) would stop the
    /// machine. Nothing has changed.
    /// # Safety
    /// *If* an object with the layout `old` begins at `pointer`, it is the caller's: no other call
    /// frees or reallocates it meanwhile, and after success it is not used any more.
    /// # Cost
    /// As [`reallocate`](Self::reallocate).
    pub unsafe fn try_reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<Option<NonNull<u8>>, Report> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.resize(pointer, old, new) }.map_err(|misuse| report(misuse, pointer, old))
    }

    /// # Safety
    /// As for [`try_reallocate`](Self::try_reallocate).
    unsafe fn resize(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<Option<NonNull<u8>>, Misuse> {
        let shrinks = new.size() <= old.size() && is_aligned(pointer, new);
        let mut stays = false;
        loop {
            if old.size() != 0 {
                let absent = Err(Misuse::ForeignPointer);
                let resized = self.with(absent, |pool| {
                    if new.size() == 0 {
                        pool.find(pointer, old).map(|_| false)
                    } else {
                        pool.resize(pointer, old, new, stays)
                    }
                });
                if resized? {
                    return Ok(Some(pointer));
                }
            }
            if let Some(moved) = self.allocate(new) {
                let bytes = old.size().min(new.size());
                // SAFETY: `copy_to_nonoverlapping` needs
                // - memory of `bytes` bytes to read and to write: both objects are live and as
                //   long, the old one was found just now;
                // - no overlap: the objects are different.
                unsafe { pointer.copy_to_nonoverlapping(moved, bytes) };
                // SAFETY: `free` needs an object that is the caller's, which is not used any more:
                // the caller promises both.
                return unsafe { self.free(pointer, old) }.map(|()| Some(moved));
            }
            if stays || !shrinks {
                return Ok(None);
            }
            stays = true;
        }
    }

    /// The bytes that are used and free.
    ///
    /// # Cost
    /// Linear in the pages; interrupts are masked meanwhile.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.with(Stats::default(), |pool| Stats::of(pool))
    }

    /// Calls `visit` with the first address and the bytes of every live object, lowest first: for
    /// reports of leaks. The bytes are those of the slot or of the pages.
    ///
    /// `visit` runs outside of critical sections, and may use the heap: objects that are allocated
    /// or freed during the walk may be left out.
    ///
    /// # Cost
    /// Linear in the pages, and in the slots of those that are cut into slots.
    pub fn for_each_object(&self, mut visit: impl FnMut(VirtAddr, usize)) {
        let mut from = 0;
        while let Some(object) = self.with(None, |pool| pool.object_from(from)) {
            visit(object.address, object.bytes);
            from = object.offset + 1;
        }
    }

    /// Checks the page map, the bitmaps and the bounds of searches against each other.
    ///
    /// # Errors
    /// The rule that is broken.
    /// # Cost
    /// Linear in the pages; interrupts are masked meanwhile.
    pub fn verify(&self) -> Result<(), &'static str> {
        self.with(Ok(()), |pool| pool.verify())
    }

    /// Runs `work` with interrupts masked; `absent` is the result while the heap has no block.
    ///
    /// `work` calls no function of the heap's user, which could use the heap.
    fn with<R>(&self, absent: R, work: impl FnOnce(&mut Pool<PAGE>) -> R) -> R {
        if !self.is_ready.load(Ordering::Acquire) {
            return absent;
        }
        let interrupts = K::disable_interrupts();
        // SAFETY: `&mut` needs exclusive access:
        // - the pool was written before it became ready, and `init` does not write it again;
        // - interrupts are masked, and then nothing else uses the heap, as `init` was promised;
        // - `work` does not enter `with` again.
        let result = work(unsafe { &mut *self.pool.get() });
        // SAFETY: the state is of the last call, which masked interrupts on this CPU.
        unsafe { K::restore_interrupts(interrupts) };
        result
    }
}

// SAFETY:
// - memory from `allocate` is aligned, as large as its layout, and exclusive until it is freed;
// - no unwinding: `contained` lets no panic out, should `Kernel::stop` panic.
unsafe impl<K: Kernel, const PAGE: usize> GlobalAlloc for FirmwareHeap<K, PAGE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        pointer_or_null(self.allocate(layout))
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: `deallocate` needs a live object and its layout, as `GlobalAlloc::dealloc`
            // does.
            contained(|| unsafe { self.deallocate(pointer, layout) });
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
        pointer_or_null(contained(|| unsafe {
            self.reallocate(pointer, layout, new)
        }))
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
fn stop<K: Kernel>(misuse: Misuse, pointer: NonNull<u8>, layout: Layout) -> ! {
    K::stop(&report(misuse, pointer, layout))
}

fn report(misuse: Misuse, pointer: NonNull<u8>, layout: Layout) -> Report {
    Report {
        fault: misuse.fault(),
        address: Some(VirtAddr::new(pointer.addr().get())),
        layout: Some(layout),
        span: None,
    }
}

/// Runs `work`. A panic in it, of a kernel that stops by one, ends the program: it must not unwind
/// through an allocation. Where panics abort this is no code.
#[inline(always)]
extern "C" fn contained<R>(work: impl FnOnce() -> R) -> R {
    work()
}

fn pointer_or_null(memory: Option<NonNull<u8>>) -> *mut u8 {
    memory.map_or(ptr::null_mut(), NonNull::as_ptr)
}
