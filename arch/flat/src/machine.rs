//! The machine: fixed regions of RAM, and the states of their granules.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use archipelago::{InitError, WindowRule};
use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, Machine, Patience, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};

use crate::plan::{Piece, Plan};
use crate::region::{Region, RegionError};
use crate::shape::Shape;
use crate::states::{State, States};

/// A machine without an MMU: up to `REGIONS` regions of RAM in an address space of shape `S`.
///
/// Reserving takes from the regions; preparing and committing change nothing but the state of each
/// granule, which debug builds check on every call. There are no page tables, so neither can fail,
/// and no lock, so nothing is ever busy.
///
/// Addresses are those of the memory where all of it lies inside the geometry; else they are lower
/// by [`slide`](Self::slide).
pub struct Flat<S, const REGIONS: usize = 2> {
    /// Sorted by address; those that are not in use are empty.
    extents: [Extent; REGIONS],
    slide: usize,
    states: States,
    states_granules: usize,
    /// The base of the extent for metadata, if there is one.
    metadata: Option<NonNull<u8>>,
    shape: PhantomData<fn() -> S>,
}

/// Whole granules of memory side by side.
#[derive(Debug)]
struct Extent {
    start: NonNull<u8>,
    bytes: usize,
    /// The number of the extent's first granule in [`States`].
    first_granule: usize,
    /// The part that is zero and was never handed out, by offsets in bytes. It shrinks from both
    /// ends: heap pages come from the low end of a window, metadata from the high end.
    untouched: [AtomicUsize; 2],
}

// SAFETY: a machine owns the memory that it names, as the caller of `Flat::new` promised, and no
// part of the memory belongs to a thread.
unsafe impl<S, const REGIONS: usize> Send for Flat<S, REGIONS> {}
// SAFETY: the memory belongs to no thread, and of the fields only atomics change.
unsafe impl<S, const REGIONS: usize> Sync for Flat<S, REGIONS> {}

impl<S: Shape, const REGIONS: usize> Flat<S, REGIONS> {
    /// A machine over `regions`, in any order, none of which may share an address with `statics`,
    /// the memory that the firmware itself occupies: see [`occupied`](crate::occupied).
    ///
    /// Memory for the states, a byte for four granules, comes from the region for metadata if there
    /// is one, else from the bytes of a region beside its whole granules, else from the end of the
    /// largest.
    ///
    /// A region for objects that holds no whole page is left out, unless all of them are: see
    /// [`uses`](Self::uses).
    ///
    /// # Errors
    /// The rule that a region breaks, and the region's conflict.
    /// # Safety
    /// - Every byte of the regions can be read and written through their pointers.
    /// - Nothing else uses them from now on, for as long as the machine, the heap that gets it, or
    ///   one of that heap's objects is in use.
    /// - Regions that touch are one piece of memory: the pointer to the lower one may be used for
    ///   both.
    pub unsafe fn new(regions: &[Region], statics: &[VirtRange]) -> Result<Self, RegionError> {
        const { S::GEOMETRY.check() };
        let plan = Plan::<REGIONS>::new(regions, statics, &S::GEOMETRY)?;
        let granule = S::GEOMETRY.granule_bytes();
        let mut granules = 0;
        let extents = plan.pieces.map(|piece| {
            let extent = Extent::new(&piece, granules);
            granules += piece.bytes / granule;
            extent
        });
        let metadata = plan.pieces.iter().find(|piece| piece.for_metadata);
        let metadata = metadata.map(|piece| at(piece, piece.first));
        let (home, place) = plan.states;
        let start = at(&plan.pieces[home], place.start).cast::<AtomicU8>();
        // SAFETY: the plan found these bytes in a region, and gave them to nothing else; the caller
        // promises that they can be written.
        unsafe { start.write_bytes(0, place.len()) };
        let bytes = NonNull::slice_from_raw_parts(start, place.len());
        // SAFETY:
        // - the bytes were initialised just now, and bytes have no alignment;
        // - nothing else uses them while the machine, or the heap that owns it, is in use, and
        //   only those reach the reference.
        let bytes = unsafe { bytes.as_ref() };
        Ok(Self {
            extents,
            slide: plan.slide,
            states: States::new(bytes),
            states_granules: plan.states_granules,
            metadata,
            shape: PhantomData,
        })
    }

    /// The parts of the regions that a heap may use as windows, lowest first, and whether each is
    /// for metadata.
    pub fn windows(&self) -> impl Iterator<Item = (VirtRange, bool)> + '_ {
        let in_use = self.extents.iter().filter(|extent| extent.bytes > 0);
        in_use.filter_map(|extent| {
            let for_metadata = self.metadata == Some(extent.start);
            Some((extent.range(self.slide)?, for_metadata))
        })
    }

    /// Whether the machine has pages in `region`, one of those that it was made of.
    #[must_use]
    pub fn uses(&self, region: &Region) -> bool {
        self.extents.iter().any(|extent| {
            let (start, first) = (region.start.addr(), extent.start.addr().get());
            let begins_in = first.wrapping_sub(start) < region.bytes && extent.bytes > 0;
            begins_in || start.wrapping_sub(first) < extent.bytes
        })
    }

    /// The number to add to an address of the space, as reports show it, to get that of the memory.
    #[must_use]
    pub const fn slide(&self) -> usize {
        self.slide
    }

    /// The error of a window as one of the region that the window is cut out of: the smallest size
    /// counts the bytes below its first granule, too, and the states of all granules unless those
    /// lie in the region for metadata.
    pub(crate) fn of_region(&self, regions: &[Region], error: InitError) -> InitError {
        let InitError::Window { window, rule } = error else {
            return error;
        };
        let WindowRule::NoRoomForMetadata { smallest } = rule else {
            return error;
        };
        let base = window.base.wrapping_add(self.slide);
        let above = regions
            .iter()
            .map(|region| base.wrapping_sub(region.start.addr()));
        let below = above.min().unwrap_or(0);
        let others = self.windows().map(|(range, _)| range);
        let others = others.filter(|range| range.base().value() != window.base);
        let bytes = others.fold(smallest, |bytes, range| bytes.saturating_add(range.bytes()));
        let states = if self.metadata.is_some() && !window.for_metadata {
            0
        } else {
            States::bytes_for(bytes >> S::GEOMETRY.granule_shift)
        };
        let rule = WindowRule::NoRoomForMetadata {
            smallest: smallest + below + states,
        };
        InitError::Window { window, rule }
    }

    /// Granules that are Ready, counted one by one.
    #[must_use]
    pub fn ready_granules(&self) -> usize {
        self.states.count(State::Ready)
    }

    /// Bytes of memory that hold the states of the granules, in the regions.
    #[must_use]
    pub const fn bookkeeping(&self) -> usize {
        self.states.len()
    }

    /// The extent that holds all of `range`, and the numbers of its granules.
    fn locate(&self, range: VirtRange) -> Option<(&Extent, Range<usize>)> {
        let holds = |extent: &&Extent| {
            let own = extent.range(self.slide);
            own.is_some_and(|own| own.contains_range(range)) && extent.bytes > 0
        };
        let extent = self.extents.iter().find(holds)?;
        let shift = S::GEOMETRY.granule_shift;
        let first = extent.first_granule + (extent.above(range.base(), self.slide) >> shift);
        Some((extent, first..first + (range.bytes() >> shift)))
    }

    /// Moves `range` to another state. Debug builds check that it comes from one of `allowed`.
    fn shift(&self, range: VirtRange, allowed: &[State], to: State) -> Option<&Extent> {
        let located = self.locate(range);
        debug_assert!(located.is_some(), "{range} was never reserved");
        let (extent, granules) = located?;
        let other = self.states.find_other(granules.clone(), allowed);
        debug_assert!(
            other.is_none(),
            "{range} goes to {to:?}, but part of it is {:?}, not {allowed:?}",
            other.map(|granule| self.states.at(granule))
        );
        self.states.set(granules, to);
        Some(extent)
    }

    /// The first part of `range`, of the granules given, that is not None.
    fn find_occupied(&self, range: VirtRange, granules: Range<usize>) -> Option<VirtRange> {
        let first = self.states.find_other(granules.clone(), &[State::None])?;
        let mut rest = first..granules.end;
        let end = rest.find(|granule| self.states.at(*granule) == State::None);
        let shift = S::GEOMETRY.granule_shift;
        let base = range
            .base()
            .checked_add((first - granules.start) << shift)?;
        VirtRange::new(base, (end.unwrap_or(granules.end) - first) << shift)
    }
}

impl Extent {
    fn new(piece: &Piece, first_granule: usize) -> Self {
        Self {
            start: at(piece, piece.first),
            bytes: piece.bytes,
            first_granule,
            untouched: [
                AtomicUsize::new(0),
                AtomicUsize::new(if piece.zeroed { piece.bytes } else { 0 }),
            ],
        }
    }

    /// The extent's addresses in a space that lies `slide` below the memory.
    fn range(&self, slide: usize) -> Option<VirtRange> {
        let base = self.start.addr().get().wrapping_sub(slide);
        VirtRange::new(VirtAddr::new(base), self.bytes)
    }

    /// The bytes from the extent's first one to `addr`. For an address below the extent the
    /// subtraction wraps, to far more than the extent's length.
    #[inline]
    fn above(&self, addr: VirtAddr, slide: usize) -> usize {
        let place = addr.value().wrapping_add(slide);
        place.wrapping_sub(self.start.addr().get())
    }

    /// Records that `range`, which lies in the extent, is handed out. Returns its contents.
    fn touch(&self, range: VirtRange, slide: usize) -> Contents {
        let first = self.above(range.base(), slide);
        let end = first + range.bytes();
        let [low, high] = [0, 1].map(|side| self.untouched[side].load(Relaxed));
        if end <= low || high <= first {
            return Contents::Unknown;
        }
        // The part below the range or the part above it is forgotten, whichever is the smaller.
        if first.saturating_sub(low) <= high.saturating_sub(end) {
            self.untouched[0].store(end, Relaxed);
        } else {
            self.untouched[1].store(first, Relaxed);
        }
        if low <= first && end <= high {
            Contents::Zeroed
        } else {
            Contents::Unknown
        }
    }
}

/// The pointer to the byte at `address`, which lies in `piece` and is not 0.
fn at(piece: &Piece, address: usize) -> NonNull<u8> {
    let above = address.wrapping_sub(piece.start.addr());
    NonNull::new(piece.start.wrapping_add(above)).unwrap_or(NonNull::dangling())
}

// SAFETY:
// - the memory of the regions is readable, writable and the machine's alone, as the caller of `new`
//   promised; the plan gives no byte to two extents, nor the bytes of the states to any;
// - `Zeroed` is reported on the promise of `Region::zeroed` alone, and never for memory that was
//   Ready before;
// - `reserve` checks before it changes anything, and nothing else can fail;
// - there are no translations;
// - within an extent, pointers are made by adding and addresses by subtracting the same numbers;
//   they differ by a multiple of half of the space, which no alignment that the heap serves passes.
unsafe impl<S: Shape, const REGIONS: usize> Machine for Flat<S, REGIONS> {
    const GEOMETRY: Geometry = S::GEOMETRY;

    // The regions are the memory.
    const DECOMMITS: bool = false;
    const REFUSES: bool = false;

    type IndexRoot = S::IndexRoot;

    unsafe fn reserve(&self, range: VirtRange, _: Patience) -> Result<(), ReserveError> {
        let Some((_, granules)) = self.locate(range) else {
            return Err(ReserveError::Outside { range });
        };
        if let Some(occupied) = self.find_occupied(range, granules.clone()) {
            return Err(ReserveError::Occupied { occupied });
        }
        self.states.set(granules, State::Reserved);
        Ok(())
    }

    unsafe fn prepare(&self, range: VirtRange, _: Patience) -> Result<(), PrepareError> {
        self.shift(range, &[State::Reserved], State::Prepared);
        Ok(())
    }

    unsafe fn commit(&self, range: VirtRange, _: Patience) -> Result<Contents, CommitError> {
        let extent = self.shift(range, &[State::Prepared], State::Ready);
        Ok(extent.map_or(Contents::Unknown, |extent| extent.touch(range, self.slide)))
    }

    unsafe fn decommit(&self, range: VirtRange, _: Patience) -> Result<(), Busy> {
        self.shift(range, &[State::Ready], State::Prepared);
        Ok(())
    }

    unsafe fn fault(&self, range: VirtRange, _: Patience) -> Result<(), Busy> {
        self.shift(range, &[State::Ready, State::Prepared], State::Reserved);
        Ok(())
    }

    unsafe fn release(&self, range: VirtRange, _: Patience) -> Result<(), Busy> {
        let any = [State::Ready, State::Prepared, State::Reserved];
        self.shift(range, &any, State::None);
        Ok(())
    }

    #[inline]
    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        for extent in &self.extents {
            let above = extent.above(addr, self.slide);
            if above < extent.bytes {
                // SAFETY: `add` stays inside the extent, which is one piece of memory.
                return unsafe { extent.start.add(above) };
            }
        }
        NonNull::dangling()
    }

    #[inline]
    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        self.extents.iter().find_map(|extent| {
            let above = pointer.addr().get().wrapping_sub(extent.start.addr().get());
            let inside = above < extent.bytes;
            inside.then(|| VirtAddr::new(pointer.addr().get().wrapping_sub(self.slide)))
        })
    }

    /// Counts the granules that hold the states of the others as table frames, since there are no
    /// page tables.
    fn footprint(&self) -> Footprint {
        Footprint {
            table_frames: self.states_granules,
            held_frames: 0,
        }
    }
}

impl<S, const REGIONS: usize> fmt::Debug for Flat<S, REGIONS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flat")
            .field("extents", &self.extents)
            .field("slide", &self.slide)
            .finish_non_exhaustive()
    }
}
