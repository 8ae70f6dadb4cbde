//! Runs in adjacent frames, for devices that read and write physical memory.

use core::fmt;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine, PhysAddr, VirtAddr};

use super::object_heap::Heap;
use super::pages::{OwnedRun, Pages, layout_of};
use super::request::{AllocError, refusal};
use crate::region::Cause;

/// A run of Ready pages in adjacent frames, which belongs to its holder. Dropping it takes the page
/// lock, and frees the pages.
#[must_use = "the pages are freed when the run is dropped"]
pub struct AdjacentRun<'h, M: Machine, K: Kernel> {
    run: OwnedRun<'h, M, K>,
    physical: PhysAddr,
}

impl<'h, M: Machine, K: Kernel> Pages<'h, M, K> {
    /// Allocates `count` pages of the heap, at least one, in adjacent frames. The first address and
    /// that of the first frame are multiples of `align` bytes, a power of two. An alignment below a
    /// page is that of a page.
    ///
    /// Nothing is promised about the frames of any other run. Where the machine's source of frames
    /// does not supply adjacent ones, every request is refused. That is so without an MMU, too
    /// ([`Machine::DECOMMITS`]), where every run is adjacent as it is.
    ///
    /// # Errors
    /// [`AllocError`] with the step that refused: [`Cause::Adjacent`] where there are not so many
    /// adjacent frames, and [`Cause::NotReady`] for a request that must not call the machine
    /// ([`AllocFlags::NO_GROW`], [`AllocFlags::ATOMIC`]). Allocated memory and its account are as
    /// before; free pages may have lost their memory, and the heap may have grown.
    /// # Locks
    /// Takes page, the growth gate, central, and the bitmap's (with the feature `heap-bits`). The
    /// machine commits adjacent frames in one call: meanwhile nobody else can grow the heap,
    /// however long the run is.
    /// # Cost
    /// That of [`allocate`](Self::allocate), and of an exchange of the run's frames for adjacent
    /// ones. The heap gives the old frames back in steps, as a scavenge does, and the machine
    /// commits all of the new ones in a single call, linear in `count`: ask for long runs early.
    pub fn allocate_adjacent(
        &self,
        count: usize,
        align: usize,
        flags: AllocFlags,
    ) -> Result<AdjacentRun<'h, M, K>, AllocError> {
        let run = allocate_adjacent(self, count, align, flags);
        run.map_err(|error| refusal(self.heap, error.layout, error.cause))
    }
}

/// [`Pages::allocate_adjacent`], without a count of refusals.
fn allocate_adjacent<'h, M: Machine, K: Kernel>(
    pages: &Pages<'h, M, K>,
    count: usize,
    align: usize,
    flags: AllocFlags,
) -> Result<AdjacentRun<'h, M, K>, AllocError> {
    let layout = layout_of::<M>(count, align)?;
    let refused = |cause| AllocError { layout, cause };
    let heap = pages.heap;
    let online = heap.ready_to_allocate(flags).map_err(refused)?;
    let want = Heap::<M, K>::wanted(layout).map_err(refused)?;
    if flags.contains(AllocFlags::NO_GROW) {
        let bytes = layout.size();
        return Err(refused(Cause::NotReady { bytes }));
    }
    heap.refill_if_low(online, flags);
    let align = layout.align();
    let mut found = heap.pages.alloc_adjacent(online, want, align, heap);
    if Heap::<M, K>::HAS_CPUS && found.is_err() && heap.cpus().make_way(online, flags) {
        found = heap.pages.alloc_adjacent(online, want, align, heap);
    }
    let (ready, physical) = found.map_err(refused)?;
    let run = pages.own(online, ready, flags);
    Ok(AdjacentRun { run, physical })
}

impl<'h, M: Machine, K: Kernel> AdjacentRun<'h, M, K> {
    /// The address of the first frame. The others follow it in the order of the pages.
    #[must_use]
    pub const fn physical(&self) -> PhysAddr {
        self.physical
    }

    /// The first address.
    #[must_use]
    pub fn base(&self) -> VirtAddr {
        self.run.base()
    }

    /// How many pages there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.run.count()
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.run.bytes()
    }

    /// The memory: Ready and the holder's alone until the run is dropped.
    #[must_use]
    pub fn as_ptr(&self) -> NonNull<[u8]> {
        self.run.as_ptr()
    }

    /// Turns the run into one whose frames do not matter.
    #[must_use = "the pages are freed when the run is dropped"]
    pub fn into_run(self) -> OwnedRun<'h, M, K> {
        self.run
    }
}

impl<M: Machine, K: Kernel> fmt::Debug for AdjacentRun<'_, M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in frames from {:?}", self.run, self.physical)
    }
}
