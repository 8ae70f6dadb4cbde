//! The machine: the transitions between memory states, over the page tables of any paging mode.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, Machine, Patience, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};
use spin::{Mutex, MutexGuard};

use crate::alloc::{AllocateFrames, DeallocateFrame, DeallocateFrames};
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
/// # Locks
/// A call takes the machine's own lock and then the kernel's. No caller may hold one of the
/// kernel's. [`Machine::pointer`], [`Machine::address`] and [`Machine::footprint`] take none.
#[derive(Debug)]
pub struct Paging<M: PagingMode<P>, P, F, L, T> {
    locks: L,
    tlb: T,
    deallocate: Option<DeallocateFrame<F>>,
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
}

impl<M: PagingMode<P>, P, F> Paging<M, P, F, Owned<P, F>, M::LocalTlb> {
    /// A machine that owns tables and frame allocator. Frames go back to the allocator only if
    /// [`returning`](Self::returning) allows it; else the machine holds frames that it no longer
    /// needs, and uses them first.
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

impl<M: PagingMode<P>, P, F, L> Paging<M, P, F, L, M::LocalTlb> {
    /// A machine that uses tables and frame allocator under the kernel's own locks.
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
        const {
            level::check(
                M::LEVELS,
                &M::GEOMETRY,
                size_of::<<M::Format as EntryFormat>::Word>(),
            );
        }
        Self {
            locks,
            tlb: M::LOCAL_TLB,
            deallocate: None,
            zeroed: false,
            state: Mutex::new(State {
                windows: Windows::EMPTY,
                stock: FrameList::EMPTY,
                owned: M::OwnedTables::NONE,
                table_frames: 0,
            }),
            table_frames: AtomicUsize::new(0),
            held_frames: AtomicUsize::new(0),
            _tables: PhantomData,
        }
    }
}

impl<M: PagingMode<P>, P, F, L, T> Paging<M, P, F, L, T> {
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
    fn lock(&self, patience: Patience) -> Result<MutexGuard<'_, State<M::OwnedTables>>, Busy> {
        match patience {
            Patience::Try => self.state.try_lock().ok_or(Busy),
            Patience::Wait => loop {
                if let Some(state) = self.state.try_lock() {
                    return Ok(state);
                }
                self.locks.relax();
            },
        }
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
            })
        })?;
        self.table_frames
            .store(state.table_frames, Ordering::Relaxed);
        self.held_frames.store(state.stock.len(), Ordering::Relaxed);
        Ok(result)
    }

    /// Frees the frames of `range` and leaves its pages in the state `left`; with Empty, tables
    /// that are no longer needed are freed too.
    fn clear(
        &self,
        state: &mut State<M::OwnedTables>,
        range: VirtRange,
        patience: Patience,
        left: PageState,
    ) -> Result<(), Busy> {
        match patience {
            Patience::Try => self.clear_at_once(state, range, left),
            Patience::Wait => {
                self.clear_in_steps(state, range, left);
                Ok(())
            }
        }
    }

    /// [`clear`](Self::clear) for a caller that must not wait: under one hold of the kernel's
    /// locks, because a second attempt to take them may find them busy.
    fn clear_at_once(
        &self,
        state: &mut State<M::OwnedTables>,
        range: VirtRange,
        left: PageState,
    ) -> Result<(), Busy> {
        self.with(state, Patience::Try, |held| {
            if steps::retire::<M, P>(held.tables, range) {
                self.tlb.flush(range);
            }
            let unlinked = held.empty(range, left);
            if !unlinked.is_empty() {
                self.tlb.flush(M::flushed_with_tables(range));
                held.free_tables(unlinked);
            }
        })
    }

    /// [`clear`](Self::clear) for a caller that may wait: with the kernel's locks free during
    /// flushes, which may have to wait for other CPUs.
    fn clear_in_steps(&self, state: &mut State<M::OwnedTables>, range: VirtRange, left: PageState) {
        if self.wait(state, |held| steps::retire::<M, P>(held.tables, range)) {
            self.tlb.flush(range);
        }
        let mut unlinked = self.wait(state, |held| held.empty(range, left));
        if unlinked.is_empty() {
            return;
        }
        self.tlb.flush(M::flushed_with_tables(range));
        self.wait(state, |held| {
            held.free_tables(core::mem::replace(&mut unlinked, FrameList::EMPTY));
        });
    }

    fn wait<R>(
        &self,
        state: &mut State<M::OwnedTables>,
        mut work: impl FnMut(&mut Held<'_, M, P, F>) -> R,
    ) -> R {
        loop {
            if let Ok(result) = self.with(state, Patience::Wait, &mut work) {
                return result;
            }
            self.locks.relax();
        }
    }
}

/// The things that a call works on while it holds the kernel's locks.
struct Held<'a, M: PagingMode<P>, P, F> {
    tables: &'a mut P,
    owned: &'a mut M::OwnedTables,
    supply: Supply<'a, F>,
    table_frames: &'a mut usize,
}

impl<M: PagingMode<P>, P, F> Held<'_, M, P, F> {
    /// Frees the frames of `range`, and unlinks the tables of pages that are left Empty.
    fn empty(&mut self, range: VirtRange, left: PageState) -> FrameList {
        steps::collect::<M, P, F>(self.tables, &mut self.supply, range, left);
        match left {
            PageState::Empty => walk::unlink_empty_tables::<M, P>(self.tables, self.owned, range),
            _ => FrameList::EMPTY,
        }
    }

    /// Frees tables that are unlinked and flushed.
    fn free_tables(&mut self, unlinked: FrameList) {
        *self.table_frames = self.table_frames.saturating_sub(unlinked.len());
        self.supply.free_all::<M, P>(self.tables, unlinked);
    }
}

// SAFETY:
// - Ready pages are read-write, as the mode promises, with a frame of their own, which the
//   allocator gave to nothing else; the tables are in use on every CPU, as `shared` was promised,
//   and `filled` lets every CPU find new entries.
// - `Zeroed` is reported on the promise of `zeroed` alone, and never for frames that were held.
// - `prepare` and `commit` allocate all frames before a page changes its state; the others fail
//   before they begin.
// - `clear` flushes all that was Ready before its frame is freed, through a `Tlb`, which promises
//   to reach every CPU; tables likewise.
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

    type IndexRoot = M::IndexRoot;

    /// Also refuses a range in which something is mapped or a table of the kernel's cannot serve
    /// the heap, and a range beyond the [`MAX_WINDOWS`](crate::MAX_WINDOWS) that can be told apart.
    fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        let mut state = self.lock(patience)?;
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
        let mut state = self.lock(patience)?;
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
        let mut state = self.lock(patience)?;
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

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let mut state = self.lock(patience)?;
        self.clear(&mut state, range, patience, PageState::Prepared)
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let mut state = self.lock(patience)?;
        self.clear(&mut state, range, patience, PageState::Empty)
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let mut state = self.lock(patience)?;
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
