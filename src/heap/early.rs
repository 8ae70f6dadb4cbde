//! The early heap: a static region, until the kernel has paging.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use archipelago_api::Kernel;

use super::early_map::{BlockMap, Division, UNIT};
use super::misuse::Misuse;
use crate::base::held::HeapNumber;
use crate::base::lock::{RankedLock, rank};
use crate::base::sync::{AtomicBool, Ordering};

/// Memory for the early heap: a `static` of the kernel, as large as it likes. It takes no room in
/// the image's file. One heap serves from it, the first that needs to; any other has no early heap.
///
/// Blocks are whole units of 16 bytes, lowest first. A map at the low end of the region says which
/// units are taken and where blocks begin: two bits a unit, a 64th of the region. It is all the
/// state that there is, so that a free is checked against it before anything changes, and neither
/// an overflow nor a use after free can damage the early heap. An allocation takes a step for each
/// unit up to the end of its block, and a free one for each unit of the block.
///
/// ```
/// static EARLY: archipelago::EarlyRegion<{ 64 * 1024 }> = archipelago::EarlyRegion::new();
/// ```
// Aligned to a unit.
#[repr(C, align(16))]
pub struct EarlyRegion<const BYTES: usize> {
    bytes: UnsafeCell<[MaybeUninit<u8>; BYTES]>,
    /// A heap serves from it.
    taken: AtomicBool,
}

const _: () = assert!(
    align_of::<EarlyRegion<1>>() == UNIT,
    "units begin at a unit"
);

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
    /// Whether the region is this heap's, whose lock guards the map.
    is_ours: RankedLock<bool, K, { rank::EARLY }>,
}

/// The fate of a block that is live and has the layout given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// The block stays as it is.
    Checked,
    /// The block keeps so many of its bytes.
    Cut(usize),
    /// The block is freed.
    Freed,
}

/// The region, by its start and what is known of all regions of its length.
struct Region<K: Kernel> {
    start: NonNull<u8>,
    taken: &'static AtomicBool,
    service: &'static Service<K>,
}

/// The length of a region, and the functions that serve from it. A heap without a region names
/// neither function, so that nothing of them is linked.
struct Service<K: Kernel> {
    bytes: usize,
    allocate: AllocateFn<K>,
    decide: DecideFn<K>,
}

type AllocateFn<K> = fn(&Early<K>, &Region<K>, Layout) -> Option<NonNull<u8>>;
type DecideFn<K> =
    unsafe fn(&Early<K>, &Region<K>, NonNull<u8>, Layout, Fate) -> Option<Result<(), Misuse>>;

// SAFETY: a region is a static; its bytes are handed out under the lock.
unsafe impl<K: Kernel> Send for Region<K> {}
// SAFETY: as above.
unsafe impl<K: Kernel> Sync for Region<K> {}

impl<K: Kernel> Early<K> {
    /// No early heap.
    pub(crate) const fn none() -> Self {
        Self {
            region: None,
            is_ours: RankedLock::new(false),
        }
    }

    /// An early heap in `region`.
    pub(crate) const fn new<const BYTES: usize>(region: &'static EarlyRegion<BYTES>) -> Self {
        let start = NonNull::new(region.bytes.get().cast::<u8>());
        let region = match (start, Division::of(BYTES)) {
            (Some(start), Some(_)) => Some(Region {
                start,
                taken: &region.taken,
                service: const {
                    &Service {
                        bytes: BYTES,
                        allocate: Self::allocate_in,
                        decide: Self::decide_in,
                    }
                },
            }),
            _ => None,
        };
        Self {
            region,
            is_ours: RankedLock::new(false),
        }
    }

    /// The lock is one of `heap`.
    #[inline(always)]
    pub(crate) fn join(&self, heap: HeapNumber) {
        self.is_ours.join(heap);
    }

    /// Memory for `layout`, if there is room.
    pub(crate) fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        let region = self.region.as_ref()?;
        (region.service.allocate)(self, region, layout)
    }

    fn allocate_in(&self, region: &Region<K>, layout: Layout) -> Option<NonNull<u8>> {
        let mut is_ours = self.is_ours.lock();
        if !*is_ours {
            if region.taken.swap(true, Ordering::Relaxed) {
                return None;
            }
            region.clear_map();
            *is_ours = true;
        }
        // SAFETY: the region is this heap's, whose lock is held, and its map was cleared.
        let mut map = unsafe { region.map(&mut is_ours) }?;
        let offset = map.allocate(layout)?;
        // SAFETY: `add` stays inside the region, as all units do.
        Some(unsafe { region.start.add(offset) })
    }

    /// Checks the block at `pointer` against `layout`, and does with it what `fate` says, in one
    /// section of the lock; `None` for a pointer outside of the region, and if this heap never
    /// handed any of it out. A `QUICK` decision takes more code, and less time without a block.
    ///
    /// # Errors
    /// The fault of the pointer or of the layout; nothing has changed. No lock is held any more.
    /// # Safety
    /// If a block with this layout begins at `pointer`, it is the caller's, and nothing uses the
    /// bytes that it loses.
    #[inline(always)]
    pub(super) unsafe fn decide<const QUICK: bool>(
        &self,
        pointer: NonNull<u8>,
        layout: Layout,
        fate: Fate,
    ) -> Option<Result<(), Misuse>> {
        let region = self.region.as_ref()?;
        if QUICK && !region.holds(pointer) {
            return None;
        }
        // SAFETY: the caller's promise is the same.
        unsafe { (region.service.decide)(self, region, pointer, layout, fate) }
    }

    /// # Safety
    /// As for [`decide`](Self::decide).
    unsafe fn decide_in(
        &self,
        region: &Region<K>,
        pointer: NonNull<u8>,
        layout: Layout,
        fate: Fate,
    ) -> Option<Result<(), Misuse>> {
        if !region.holds(pointer) {
            return None;
        }
        let mut is_ours = self.is_ours.lock();
        if !*is_ours {
            return None;
        }
        // SAFETY: the region is this heap's, whose lock is held, and its map was cleared.
        let mut map = unsafe { region.map(&mut is_ours) }?;
        let offset = pointer.addr().get() - region.start.addr().get();
        let found = map.find(offset, layout);
        Some(found.map(|block| match fate {
            Fate::Checked => {}
            Fate::Cut(kept) => map.cut(block, kept.max(1)),
            Fate::Freed => map.cut(block, 0),
        }))
    }

    /// Bytes of the region.
    pub(crate) fn bytes(&self) -> usize {
        self.region
            .as_ref()
            .map_or(0, |region| region.service.bytes)
    }
}

impl<K: Kernel> Region<K> {
    /// Whether `pointer` lies in the region.
    #[inline]
    fn holds(&self, pointer: NonNull<u8>) -> bool {
        pointer.addr().get().wrapping_sub(self.start.addr().get()) < self.service.bytes
    }

    /// Clears the map. The caller has just taken the region, and nothing of it is handed out.
    fn clear_map(&self) {
        let words = Division::of(self.service.bytes).map_or(0, |division| division.words);
        // SAFETY: `write_bytes` needs so many words that are writable and aligned: the region
        // begins with them, and at a multiple of 16 bytes.
        unsafe { self.start.cast::<usize>().write_bytes(0, words) };
    }

    /// The region's map.
    ///
    /// # Safety
    /// The caller has taken the region, cleared the map, and holds the lock while it uses the map.
    unsafe fn map<'a>(&self, _locked: &'a mut bool) -> Option<BlockMap<'a>> {
        let division = Division::of(self.service.bytes)?;
        let words = self.start.cast::<usize>();
        let mut words = NonNull::slice_from_raw_parts(words, division.words);
        // SAFETY: `as_mut` needs
        // - words that are initialised and live: the caller cleared them, in a static;
        // - no other access: the caller holds the lock, and blocks come after the words.
        let words = unsafe { words.as_mut() };
        Some(BlockMap::new(words, division, self.start.addr().get()))
    }
}
