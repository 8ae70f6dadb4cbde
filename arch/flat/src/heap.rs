//! Heaps over blocks of memory: one heap for each block.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::ops::Range;
use core::ptr::NonNull;

use archipelago::{AllocError, Heap, InitError, ReallocError, Report, Stats, Violation, Window};
use archipelago_api::{AllocFlags, Kernel, VirtAddr, VirtRange};

use crate::machine::Flat;
use crate::region::{Region, RegionError};
use crate::shape::{Shape, Small};

/// A heap over given RAM, with all of its metadata inside that RAM or beside it.
///
/// A heap begins empty, in a `static` or in a field of a process's record, and gets its memory
/// later; any number of them serve side by side, each in its own memory. Every method takes
/// `&self`.
///
/// ```
/// use archipelago_flat::{AllocFlags, FlatHeap};
/// # use archipelago_sim::Hosted;
/// use core::alloc::Layout;
///
/// let mut block = vec![0u8; 64 << 10];
/// let heap: FlatHeap<Hosted> = FlatHeap::empty();
/// // The block outlives the heap and its objects, and nothing else uses it.
/// unsafe { heap.init(block.as_mut_ptr(), block.len()) }?;
///
/// let layout = Layout::new::<[u32; 10]>();
/// let object = heap.allocate(layout, AllocFlags::empty())?;
/// assert!(heap.contains(object.cast()));
/// // The object was allocated here with this layout, and nothing uses it any more.
/// unsafe { heap.deallocate(object.cast(), layout) };
/// heap.verify()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FlatHeap<K: Kernel, S: Shape = Small, const REGIONS: usize = 2> {
    heap: Heap<Flat<S, REGIONS>, K>,
}

/// The reasons why a heap was not initialised. The heap is empty, as before, and the memory may be
/// used for other purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlatError {
    /// The regions are not fit for a machine.
    Region(RegionError),
    /// The heap refused them.
    Init(InitError),
}

impl<K: Kernel, S: Shape, const REGIONS: usize> FlatHeap<K, S, REGIONS> {
    /// A heap without memory, which refuses every request.
    #[must_use]
    pub const fn empty() -> Self {
        Self { heap: Heap::new() }
    }

    /// Gives the heap the `bytes` bytes from `start`, for objects and all of its metadata.
    ///
    /// # Errors
    /// The reason why not: the heap is still empty.
    /// # Safety
    /// The obligations of [`init_regions`](Self::init_regions).
    pub unsafe fn init(&self, start: *mut u8, bytes: usize) -> Result<(), FlatError> {
        // SAFETY: the caller promises the obligations for each region.
        unsafe { self.init_regions(&[Region::new(start, bytes)], &[]) }.map(|_| ())
    }

    /// Gives the heap the `bytes` bytes from `start` for objects, and the `metadata_bytes` bytes
    /// from `metadata` for metadata alone.
    ///
    /// Metadata lies among objects only when it has used up its own block: then it goes on at the
    /// high end of the largest part of the other one that is still unused.
    ///
    /// # Errors
    /// The reason why not: the heap is still empty.
    /// # Safety
    /// The obligations of [`init_regions`](Self::init_regions), for both blocks.
    pub unsafe fn init_beside(
        &self,
        start: *mut u8,
        bytes: usize,
        metadata: *mut u8,
        metadata_bytes: usize,
    ) -> Result<(), FlatError> {
        let regions = [
            Region::new(start, bytes),
            Region::new(metadata, metadata_bytes).for_metadata(),
        ];
        // SAFETY: the caller promises the obligations for each region.
        unsafe { self.init_regions(&regions, &[]) }.map(|_| ())
    }

    /// Gives the heap `regions`, none of which may share an address with `statics`, the memory that
    /// the firmware itself occupies: see [`occupied`](crate::occupied).
    ///
    /// Metadata comes from the region for it, or else from the lowest that has room for it. A
    /// region for objects that holds no whole page is left out, unless all of them are. Returns how
    /// many were left out; [`Flat::uses`] says which.
    ///
    /// # Errors
    /// The rule that a region breaks, or why the heap refused: it is still empty. The size that
    /// [`WindowRule::NoRoomForMetadata`](archipelago::WindowRule) names is that of the region.
    /// # Safety
    /// The obligations of [`Flat::new`]: the memory is readable, writable, and the heap's alone
    /// from now on, for as long as the heap or one of its objects is in use.
    pub unsafe fn init_regions(
        &self,
        regions: &[Region],
        statics: &[VirtRange],
    ) -> Result<usize, FlatError> {
        if self.heap.machine().is_some() {
            // Before anything is written: the regions may be those that it has.
            return Err(FlatError::Init(InitError::AlreadyInitialised));
        }
        // SAFETY: the caller promises the memory; a machine that the heap refuses is dropped.
        let machine = unsafe { Flat::<S, REGIONS>::new(regions, statics) };
        let machine = machine.map_err(FlatError::Region)?;
        let mut windows = [Window::new(0, 0); REGIONS];
        let mut count = 0;
        for (window, (range, for_metadata)) in windows.iter_mut().zip(machine.windows()) {
            let (base, bytes) = (range.base().value(), range.bytes());
            *window = if for_metadata {
                Window::for_metadata(base, bytes)
            } else {
                Window::new(base, bytes)
            };
            count += 1;
        }
        let left_out = regions.iter().filter(|region| !machine.uses(region));
        let left_out = left_out.count();
        match self.heap.init(&windows[..count], machine) {
            Ok(()) => Ok(left_out),
            Err(failure) => Err(FlatError::Init(
                failure.machine.of_region(regions, failure.error),
            )),
        }
    }

    /// Allocates memory for `layout`; see [`Heap::allocate`].
    ///
    /// # Errors
    /// The step that refused, with figures.
    pub fn allocate(&self, layout: Layout, flags: AllocFlags) -> Result<NonNull<[u8]>, AllocError> {
        self.heap.allocate(layout, flags)
    }

    /// Frees an object; see [`Heap::deallocate`].
    ///
    /// # Safety
    /// - `pointer` was allocated by this heap with `layout`.
    /// - Nothing uses it any more.
    pub unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY:
        // - the caller promises that the pointer was allocated here with this layout;
        // - the caller promises that nothing uses it.
        unsafe { self.heap.deallocate(pointer, layout) };
    }

    /// Frees an object, if there is one with this layout at `pointer`, any number whatsoever; see
    /// [`Heap::try_deallocate`].
    ///
    /// # Errors
    /// A report of what was found; nothing has changed.
    /// # Safety
    /// *If* an object with this layout begins at `pointer`, it is the caller's, and nothing uses it
    /// any more.
    pub unsafe fn try_deallocate(
        &self,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<(), Report> {
        // SAFETY: the caller promises that an object is its own, and that nothing uses it.
        unsafe { self.heap.try_deallocate(pointer, layout) }
    }

    /// Changes the size of an object; see [`Heap::reallocate`].
    ///
    /// # Errors
    /// The step that refused, with figures; the object is as it was.
    /// # Safety
    /// - `pointer` was allocated by this heap with `old`.
    /// - Nothing uses the object at its old address once it has moved.
    pub unsafe fn reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY:
        // - the caller promises that the pointer was allocated here with this layout;
        // - the caller promises that nothing uses the old address afterwards.
        unsafe { self.heap.reallocate(pointer, old, new, flags) }
    }

    /// Changes the size of an object, if there is one with the layout `old` at `pointer`, any
    /// number whatsoever; see [`Heap::try_reallocate`].
    ///
    /// # Errors
    /// A report of what was found, or the step that refused; nothing has changed.
    /// # Safety
    /// *If* an object with the layout `old` begins at `pointer`, it is the caller's: no other call
    /// frees or reallocates it meanwhile, and after success it is not used any more.
    pub unsafe fn try_reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, ReallocError> {
        // SAFETY: the caller promises that an object is its own, and that nothing uses it
        // meanwhile or afterwards.
        unsafe { self.heap.try_reallocate(pointer, old, new, flags) }
    }

    /// The statistics; see [`Heap::stats`].
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.heap.stats()
    }

    /// Checks every structure of the heap; see [`Heap::verify`].
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self) -> Result<(), Violation> {
        self.heap.verify()
    }

    /// Calls `visit` with the first address in memory and the bytes of every live object, lowest
    /// first; see [`Heap::for_each_object`].
    ///
    /// # Locks
    /// All of the heap's, throughout: `visit` must not use the heap.
    pub fn for_each_object(&self, mut visit: impl FnMut(VirtAddr, usize)) {
        let slide = self.heap.machine().map_or(0, Flat::slide);
        self.heap.for_each_object(|address, bytes| {
            visit(VirtAddr::new(address.value().wrapping_add(slide)), bytes);
        });
    }

    /// The addresses of the heap's memory, from the lowest to the highest granule of its regions;
    /// `None` while the heap is empty.
    #[must_use]
    pub fn range(&self) -> Option<Range<usize>> {
        let machine = self.heap.machine()?;
        let first = machine.windows().next()?.0.base().value();
        let (last, _) = machine.windows().last()?;
        let place = |address: usize| address.wrapping_add(machine.slide());
        Some(place(first)..place(last.base().value()).wrapping_add(last.bytes()))
    }

    /// Whether `pointer` lies in the heap's memory, in an object or not.
    #[must_use]
    pub fn contains(&self, pointer: NonNull<u8>) -> bool {
        use archipelago_api::Machine;
        self.heap
            .machine()
            .is_some_and(|machine| machine.address(pointer).is_some())
    }

    /// The heap underneath, for the reserve, the limit, scavenging and tools.
    #[must_use]
    pub const fn heap(&self) -> &Heap<Flat<S, REGIONS>, K> {
        &self.heap
    }
}

// SAFETY: every request goes to the heap underneath, which keeps the contract.
unsafe impl<K: Kernel, S: Shape, const REGIONS: usize> GlobalAlloc for FlatHeap<K, S, REGIONS> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of at least one byte.
        unsafe { self.heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY:
        // - the caller promises that the pointer was allocated here with this layout;
        // - the caller promises that nothing uses it.
        unsafe { self.heap.dealloc(pointer, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of at least one byte.
        unsafe { self.heap.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY:
        // - the caller promises that the pointer was allocated here with this layout;
        // - the caller promises that nothing uses the old address afterwards.
        unsafe { self.heap.realloc(pointer, layout, new_size) }
    }
}

impl<K: Kernel, S: Shape, const REGIONS: usize> Default for FlatHeap<K, S, REGIONS> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<K: Kernel, S: Shape, const REGIONS: usize> fmt::Debug for FlatHeap<K, S, REGIONS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.heap.fmt(f)
    }
}

impl fmt::Display for FlatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(error) => error.fmt(f),
            Self::Init(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for FlatError {}
