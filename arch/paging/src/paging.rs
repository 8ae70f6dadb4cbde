//! The machine: the transitions between memory states, over the page tables of any paging mode.

use core::marker::PhantomData;
use core::mem;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, Machine, Patience, PhysAddr, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};
use spin::{Mutex, MutexGuard};

use crate::alloc::{
    AdjacentFrames, AllocateAdjacent, AllocateFrames, DeallocateFrame, DeallocateFrames,
};
use crate::entry::{EntryFormat, PageState};
use crate::frames::{FrameList, Supply};
use crate::level;
use crate::locked::{Locked, Owned};
use crate::windows::Windows;
use crate::{OwnedTables, PagingMode, Tlb, steps, walk};

/// The machine of a kernel with page tables: the tables `P` of the mode `M` and the frame allocator
/// `F`, under the locks `L`, with `T` for TLB maintenance. Each machine's crate names it with its
/// own mode and shows how a kernel plugs it in.
///
/// [`one_cpu`](Self::one_cpu) and [`shared_on_one_cpu`](Self::shared_on_one_cpu) make the machine
/// of a kernel on one CPU. On several, [`new`](Self::new) or [`shared`](Self::shared) and then
/// [`with_tlb`](Self::with_tlb) make it: without a `Tlb` it is no [`Machine`].
///
/// # Frames
/// Nothing is promised about where frames lie, not even that those of a run are in order. Frames
/// that are used again are taken in the order in which they were mapped, as far as the allocator
/// keeps it. Adjacent frames are a request of their own, [`Machine::commit_adjacent`], which the
/// machine serves with [`adjacent`](Self::adjacent).
///
/// # Locks
/// A call takes the machine's own lock and then the kernel's. No caller may hold one of the
/// kernel's. [`Machine::pointer`], [`Machine::address`] and [`Machine::footprint`] take none.
#[derive(Debug)]
pub struct Paging<M: PagingMode<P>, P, F, L, T> {
    locks: L,
    tlb: T,
    deallocate: Option<DeallocateFrame<F>>,
    adjacent: Option<AllocateAdjacent<F>>,
    zeroed: bool,
    /// Held for the whole of a call, so that no call sees another half done. The outermost lock:
    /// the kernel's are taken inside of it.
    state: Mutex<State<M::OwnedTables>>,
    /// Copies for [`Machine::footprint`], which takes no lock.
    table_frames: AtomicUsize,
    held_frames: AtomicUsize,
    _tables: PhantomData<fn(&mut P)>,
}

#[derive(Debug)]
struct State<O> {
    windows: Windows,
    /// Frames that the allocator would not take back.
    stock: FrameList,
    owned: O,
    table_frames: usize,
    /// Pages whose frames are still to be freed. Every call frees them first.
    retired: Option<Retired>,
    /// Tables that are still to be freed, after a flush. They count as tables until then.
    unlinked: FrameList,
}

/// Pages that are out of use: no CPU translates them after the flush that follows at once, and
/// their frames are still in their entries.
#[derive(Clone, Copy, Debug)]
struct Retired {
    range: VirtRange,
    /// The state in which the pages are left.
    left: PageState,
    /// The number of frames, which count as held.
    frames: usize,
}

impl<M: PagingMode<P>, P, F> Paging<M, P, F, Owned<P, F>, M::LocalTlb> {
    /// The machine of a kernel that runs on one CPU, which owns tables and frame allocator. Frames
    /// go back to the allocator only if [`returning`](Self::returning) allows it; else the machine
    /// holds frames that it no longer needs, and uses them first.
    ///
    /// # Safety
    /// All that [`shared_on_one_cpu`](Self::shared_on_one_cpu) asks for.
    #[must_use]
    pub const unsafe fn one_cpu(tables: P, frames: F) -> Self {
        // SAFETY:
        // - an `Owned` never changes which tables and allocator it holds;
        // - the caller promises the rest.
        unsafe { Self::shared_on_one_cpu(Owned::new(tables, frames)) }
    }
}

impl<M: PagingMode<P>, P, F, L> Paging<M, P, F, L, M::LocalTlb> {
    /// The machine of a kernel that runs on one CPU, which uses tables and frame allocator under
    /// the kernel's own locks.
    ///
    /// # Safety
    /// - All that [`shared`](Paging::shared) asks for.
    /// - One CPU alone uses the heap; no other one ever translates an address of its windows.
    /// - That CPU is set up as the page of [`PagingMode::LocalTlb`] asks.
    #[must_use]
    pub const unsafe fn shared_on_one_cpu(locks: L) -> Self {
        // SAFETY: the caller promises one CPU, set up as its page asks.
        let tlb = unsafe { M::LOCAL_TLB.get() };
        Self::over(locks, tlb)
    }
}

impl<M: PagingMode<P>, P, F> Paging<M, P, F, Owned<P, F>, ()> {
    /// Tables and a frame allocator of the machine's own, which are a machine once
    /// [`with_tlb`](Self::with_tlb) says how CPUs drop translations. Frames go back to the
    /// allocator only if [`returning`](Self::returning) allows it; else the machine holds frames
    /// that it no longer needs, and uses them first.
    ///
    /// # Safety
    /// All that [`shared`](Self::shared) asks for.
    #[must_use]
    pub const unsafe fn new(tables: P, frames: F) -> Self {
        // SAFETY:
        // - an `Owned` never changes which tables and allocator it holds;
        // - the caller promises the rest.
        unsafe { Self::shared(Owned::new(tables, frames)) }
    }
}

impl<M: PagingMode<P>, P, F, L> Paging<M, P, F, L, ()> {
    /// Tables and a frame allocator under the kernel's own locks, which are a machine once
    /// [`with_tlb`](Self::with_tlb) says how CPUs drop translations.
    ///
    /// # Safety
    /// - `locks` always guard the same tables and the same frame allocator.
    /// - The tables translate the heap's windows on every CPU that uses the heap. Where several
    ///   sets of tables are in use, all of them share the tables of the windows: the kernel links
    ///   those beforehand.
    /// - Every frame of the allocator can be reached as the tables say, and not at address 0.
    /// - The CPU is set up as the mode `M` asks on its own page.
    /// - While a range is reserved, only the machine changes entries that translate it.
    #[must_use]
    pub const unsafe fn shared(locks: L) -> Self {
        Self::over(locks, ())
    }
}

impl<M: PagingMode<P>, P, F, L, T> Paging<M, P, F, L, T> {
    /// The state of a machine without windows: a constant, so that it is written where the machine
    /// is made and nowhere moved by value.
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "each machine has a copy of its own"
    )]
    const EMPTY: Mutex<State<M::OwnedTables>> = Mutex::new(State {
        windows: Windows::EMPTY,
        stock: FrameList::EMPTY,
        owned: M::OwnedTables::NONE,
        table_frames: 0,
        retired: None,
        unlinked: FrameList::EMPTY,
    });

    const fn over(locks: L, tlb: T) -> Self {
        const {
            level::check(
                M::LEVELS,
                &M::GEOMETRY,
                size_of::<<M::Format as EntryFormat>::Word>(),
            );
        }
        Self {
            locks,
            tlb,
            deallocate: None,
            adjacent: None,
            zeroed: false,
            state: Self::EMPTY,
            table_frames: AtomicUsize::new(0),
            held_frames: AtomicUsize::new(0),
            _tables: PhantomData,
        }
    }

    /// Gives frames back to the allocator when they are no longer needed.
    #[must_use]
    pub fn returning(self) -> Self
    where
        M::Frames: DeallocateFrames<F>,
    {
        Self {
            deallocate: Some(M::Frames::deallocate_frame),
            ..self
        }
    }

    /// Has adjacent frames supplied where they are asked for. Held frames never are used for such
    /// requests.
    #[must_use]
    pub fn adjacent(self) -> Self
    where
        F: AdjacentFrames,
    {
        Self {
            adjacent: Some(F::allocate_adjacent),
            ..self
        }
    }

    /// Relies on frames straight from the allocator to be zero, so that the heap need not clear
    /// them.
    ///
    /// # Safety
    /// Every frame that the allocator hands out is zero, also one that it got back.
    #[must_use]
    pub unsafe fn zeroed(self) -> Self {
        Self {
            zeroed: true,
            ..self
        }
    }

    /// Maintains TLBs by `tlb`.
    #[must_use]
    pub fn with_tlb<U: Tlb>(self, tlb: U) -> Paging<M, P, F, L, U> {
        Paging {
            locks: self.locks,
            tlb,
            deallocate: self.deallocate,
            adjacent: self.adjacent,
            zeroed: self.zeroed,
            state: self.state,
            table_frames: self.table_frames,
            held_frames: self.held_frames,
            _tables: PhantomData,
        }
    }
}

impl<M, P, F, L, T> Paging<M, P, F, L, T>
where
    M: PagingMode<P>,
    M::Frames: AllocateFrames<F>,
    L: Locked<P, F>,
    T: Tlb,
{
    /// Begins a call: locks the machine and finishes what an earlier call could not.
    ///
    /// # Errors
    /// [`Busy`], only under [`Patience::Try`]: nothing has begun.
    fn enter(&self, patience: Patience) -> Result<MutexGuard<'_, State<M::OwnedTables>>, Busy> {
        let mut state = match patience {
            Patience::Try => self.state.try_lock().ok_or(Busy)?,
            Patience::Wait => loop {
                if let Some(state) = self.state.try_lock() {
                    break state;
                }
                self.locks.relax();
            },
        };
        self.finish(&mut state, patience)?;
        Ok(state)
    }

    /// Runs `work` under the kernel's locks, and brings the copies of the counters up to date.
    fn with<R>(
        &self,
        state: &mut State<M::OwnedTables>,
        patience: Patience,
        work: impl FnOnce(&mut Held<'_, M, P, F>) -> R,
    ) -> Result<R, Busy> {
        let State {
            stock,
            owned,
            table_frames,
            retired,
            unlinked,
            ..
        } = state;
        let result = self.locks.with(patience, |tables, allocator| {
            work(&mut Held {
                tables,
                owned,
                supply: Supply {
                    allocator,
                    deallocate: self.deallocate,
                    stock,
                },
                table_frames,
                retired,
                unlinked,
            })
        })?;
        let retired = state.retired.map_or(0, |retired| retired.frames);
        self.table_frames
            .store(state.table_frames, Ordering::Relaxed);
        self.held_frames
            .store(state.stock.len() + retired, Ordering::Relaxed);
        Ok(result)
    }

    /// Takes the frames of `range` away and leaves its pages in the state `left`; with Empty,
    /// tables that are no longer needed are freed too.
    ///
    /// The kernel's locks are free during flushes, which may have to wait for other CPUs: one of
    /// those may wait for a lock, with interrupts masked. A caller that must not wait may then find
    /// the locks taken when they are needed again; what is left to do is remembered.
    ///
    /// # Errors
    /// [`Busy`], only under [`Patience::Try`]: the range is as it was.
    fn clear(
        &self,
        state: &mut State<M::OwnedTables>,
        range: VirtRange,
        patience: Patience,
        left: PageState,
    ) -> Result<(), Busy> {
        let frames = self.with(state, patience, |held| held.retire(range, left))?;
        if frames > 0 {
            self.tlb.flush(range);
        }
        // Once no CPU translates the range, the transition is complete for the caller.
        let _ = self.finish(state, patience);
        Ok(())
    }

    /// Frees what is out of use: frames of retired pages, and tables.
    ///
    /// # Errors
    /// [`Busy`], only under [`Patience::Try`]: the rest is remembered.
    fn finish(&self, state: &mut State<M::OwnedTables>, patience: Patience) -> Result<(), Busy> {
        if let Some(Retired { range, .. }) = state.retired {
            self.with(state, patience, |held| held.empty_retired())?;
            if !state.unlinked.is_empty() {
                self.tlb.flush(M::flushed_with_tables(range));
            }
        }
        if !state.unlinked.is_empty() {
            self.with(state, patience, |held| held.free_tables())?;
        }
        Ok(())
    }
}

/// The things that a call works on while it holds the kernel's locks.
struct Held<'a, M: PagingMode<P>, P, F> {
    tables: &'a mut P,
    owned: &'a mut M::OwnedTables,
    supply: Supply<'a, F>,
    table_frames: &'a mut usize,
    retired: &'a mut Option<Retired>,
    unlinked: &'a mut FrameList,
}

impl<M: PagingMode<P>, P, F> Held<'_, M, P, F> {
    /// Takes the pages of `range` out of use, to be left in the state `left`, and returns how many
    /// were Ready.
    fn retire(&mut self, range: VirtRange, left: PageState) -> usize {
        let frames = steps::retire::<M, P>(self.tables, range);
        *self.retired = Some(Retired {
            range,
            left,
            frames,
        });
        frames
    }

    /// Frees the frames of the pages that were retired and flushed, and unlinks the tables of those
    /// that are left Empty.
    fn empty_retired(&mut self) {
        let Some(Retired { range, left, .. }) = self.retired.take() else {
            return;
        };
        steps::collect::<M, P, F>(self.tables, &mut self.supply, range, left);
        if left == PageState::Empty {
            *self.unlinked = walk::unlink_empty_tables::<M, P>(self.tables, self.owned, range);
        }
    }

    /// Frees tables that are unlinked and flushed.
    fn free_tables(&mut self) {
        let unlinked = mem::replace(self.unlinked, FrameList::EMPTY);
        *self.table_frames = self.table_frames.saturating_sub(unlinked.len());
        self.supply.free_all::<M, P>(self.tables, unlinked);
    }
}

// SAFETY:
// - Ready pages are read-write, as the mode promises, with a frame of their own, which the
//   allocator gave to nothing else; the tables are in use on every CPU, as `shared` was promised,
//   and `filled` lets every CPU find new entries.
// - `Zeroed` is reported on the promise of `zeroed` alone, and never for frames that were held.
// - `prepare` and both commits allocate all frames before a page changes its state; the others fail
//   before they begin.
// - `clear` flushes all that was Ready before it returns and before a frame is freed, through a
//   `Tlb`, which promises to reach every CPU; tables likewise.
// - Address and pointer are the same number.
unsafe impl<M, P, F, L, T> Machine for Paging<M, P, F, L, T>
where
    M: PagingMode<P>,
    M::Frames: AllocateFrames<F>,
    P: Send + 'static,
    F: Send + 'static,
    L: Locked<P, F>,
    T: Tlb,
{
    const GEOMETRY: Geometry = M::GEOMETRY;

    const POINTERS_ARE_ADDRESSES: bool = true;

    type IndexRoot = M::IndexRoot;

    /// Also refuses a range in which something is mapped or a table of the kernel's cannot serve
    /// the heap, and a range beyond the [`MAX_WINDOWS`](crate::MAX_WINDOWS) that can be told apart.
    unsafe fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        let mut state = self.enter(patience)?;
        if !Self::GEOMETRY.contains(range) {
            return Err(ReserveError::Outside { range });
        }
        if let Some(occupied) = state.windows.overlap(range) {
            return Err(ReserveError::Occupied { occupied });
        }
        if !state.windows.has_room(range) {
            return Err(ReserveError::Outside { range });
        }
        let occupied = self.with(&mut state, patience, |held| {
            walk::occupied::<M, P>(held.tables, range)
        })?;
        if let Some(occupied) = occupied {
            return Err(ReserveError::Occupied { occupied });
        }
        state.windows.add(range);
        Ok(())
    }

    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError> {
        let mut state = self.enter(patience)?;
        self.with(&mut state, patience, |held| {
            let needed = walk::missing_tables::<M, P>(held.tables, range);
            let mut spare = held
                .supply
                .allocate_all::<M, P>(held.tables, needed)
                .map_err(|available| PrepareError::PageTables { needed, available })?;
            walk::prepare::<M, P>(held.tables, held.owned, range, &mut spare);
            *held.table_frames += needed;
            Ok(())
        })?
    }

    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError> {
        let mut state = self.enter(patience)?;
        let needed = range.bytes() / Self::GEOMETRY.granule_bytes();
        let staged = self.with(&mut state, patience, |held| {
            let staged = steps::stage::<M, P, F>(held.tables, &mut held.supply, range)
                .map_err(|available| CommitError::Frames { needed, available })?;
            steps::activate::<M, P>(held.tables, range);
            Ok::<_, CommitError>(staged)
        })??;
        self.tlb.filled(range);
        if self.zeroed && staged.all_fresh {
            Ok(Contents::Zeroed)
        } else {
            Ok(Contents::Unknown)
        }
    }

    unsafe fn commit_adjacent(
        &self,
        range: VirtRange,
        align: usize,
        patience: Patience,
    ) -> Result<PhysAddr, CommitError> {
        let needed = range.bytes() / Self::GEOMETRY.granule_bytes();
        let refused = CommitError::Adjacent { needed };
        let allocate = self.adjacent.ok_or(refused)?;
        let mut state = self.enter(patience)?;
        let first = self.with(&mut state, patience, |held| {
            let first = allocate(held.supply.allocator, needed, align)?;
            steps::map_adjacent::<M, P>(held.tables, range, first);
            Some(first)
        })?;
        let first = first.ok_or(refused)?;
        self.tlb.filled(range);
        Ok(first)
    }

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let mut state = self.enter(patience)?;
        self.clear(&mut state, range, patience, PageState::Prepared)
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let mut state = self.enter(patience)?;
        self.clear(&mut state, range, patience, PageState::Empty)
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let mut state = self.enter(patience)?;
        self.clear(&mut state, range, patience, PageState::Empty)?;
        state.windows.remove(range);
        Ok(())
    }

    /// Makes the pointer of an exposed provenance: page tables mapped the memory, of which the
    /// language knows nothing.
    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        NonNull::new(ptr::with_exposed_provenance_mut(addr.value())).unwrap_or(NonNull::dangling())
    }

    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        let addr = VirtAddr::new(pointer.addr().get());
        Self::GEOMETRY.offset(addr).map(|_| addr)
    }

    fn footprint(&self) -> Footprint {
        Footprint {
            table_frames: self.table_frames.load(Ordering::Relaxed),
            held_frames: self.held_frames.load(Ordering::Relaxed),
        }
    }
}
