//! The machine.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{self, AtomicUsize, Ordering};

use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, IndexWord, Machine, Patience, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};
use spin::{Mutex, MutexGuard};
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, Size4KiB};

use crate::PageTables;
use crate::access::{Access, Owned};
use crate::entry::Leaf;
use crate::frames::{Chain, GiveBack, Supply};
use crate::steps;
use crate::tlb::{LocalTlb, Tlb};
use crate::walk::Tree;
use crate::windows::Windows;

/// The machine of an x86_64 kernel: its page tables `P` and its frame source `F`, behind the locks
/// `A`, with `T` to make its CPUs forget translations. See the [crate's page](crate) for how it is
/// plugged in.
#[derive(Debug)]
pub struct Paging<P, F, A = Owned<P, F>, T = LocalTlb> {
    access: A,
    tlb: T,
    give_back: Option<GiveBack<F>>,
    zeroed: bool,
    /// Held for the whole of a call, so that a call sees no other's half. Outermost: the kernel's
    /// locks are taken inside of it, and nobody takes it who holds one of those.
    state: Mutex<State>,
    /// Copies for [`Machine::footprint`], which takes no lock.
    table_frames: AtomicUsize,
    held_frames: AtomicUsize,
    _mapper: PhantomData<fn(&mut P)>,
}

#[derive(Debug)]
struct State {
    windows: Windows,
    stock: Chain,
    table_frames: usize,
}

impl<P, F> Paging<P, F> {
    /// A machine that owns mapper and frame source. What `frames` handed out it does not get back,
    /// until [`returning`](Self::returning) says that it may: frames that are no longer needed are
    /// held and used first.
    ///
    /// # Safety
    /// As for [`shared`](Self::shared).
    #[must_use]
    pub const unsafe fn new(mapper: P, frames: F) -> Self {
        // SAFETY: the caller promises what `shared` asks for, and an `Owned` never changes what it
        // holds.
        unsafe { Self::shared(Owned::new(mapper, frames)) }
    }
}

impl<P, F, A> Paging<P, F, A> {
    /// A machine that uses mapper and frame source behind the kernel's own locks.
    ///
    /// # Safety
    /// - `access` always leads to the same mapper and the same frame source.
    /// - The mapper's tables translate the heap's windows on every CPU that uses the heap. Where
    ///   several level-4 tables are in use, all link the same tables for the windows: the kernel
    ///   links those beforehand.
    /// - Every frame of the source is mapped where [`PageTables::table`] says, not at address 0.
    /// - `EFER.NXE` is set.
    /// - While a range is reserved, nobody but the machine changes entries that translate it.
    #[must_use]
    pub const unsafe fn shared(access: A) -> Self {
        Self {
            access,
            tlb: LocalTlb,
            give_back: None,
            zeroed: false,
            state: Mutex::new(State {
                windows: Windows::EMPTY,
                stock: Chain::EMPTY,
                table_frames: 0,
            }),
            table_frames: AtomicUsize::new(0),
            held_frames: AtomicUsize::new(0),
            _mapper: PhantomData,
        }
    }
}

impl<P, F, A, T> Paging<P, F, A, T> {
    /// Gives frames back to the source when they are no longer needed.
    #[must_use]
    pub fn returning(self) -> Self
    where
        F: FrameDeallocator<Size4KiB>,
    {
        Self {
            give_back: Some(F::deallocate_frame),
            ..self
        }
    }

    /// Takes frames straight from the source to be zero, so that the heap need not clear them.
    ///
    /// # Safety
    /// Every frame that the source hands out is zero, also one that it got back.
    #[must_use]
    pub unsafe fn zeroed(self) -> Self {
        Self {
            zeroed: true,
            ..self
        }
    }

    /// Makes CPUs forget translations through `tlb`.
    #[must_use]
    pub fn with_tlb<U: Tlb>(self, tlb: U) -> Paging<P, F, A, U> {
        Paging {
            access: self.access,
            tlb,
            give_back: self.give_back,
            zeroed: self.zeroed,
            state: self.state,
            table_frames: self.table_frames,
            held_frames: self.held_frames,
            _mapper: PhantomData,
        }
    }
}

impl<P, F, A, T> Paging<P, F, A, T>
where
    P: PageTables,
    F: FrameAllocator<Size4KiB> + Send + 'static,
    A: Access<P, F>,
    T: Tlb,
{
    fn lock(&self, patience: Patience) -> Result<MutexGuard<'_, State>, Busy> {
        match patience {
            Patience::Wait => Ok(self.state.lock()),
            Patience::Try => self.state.try_lock().ok_or(Busy),
        }
    }

    /// Runs `work` on the tables and the supply of frames, and brings the copies of the counters up
    /// to date.
    fn with<R>(
        &self,
        state: &mut State,
        patience: Patience,
        work: impl FnOnce(&mut Tree<'_, P>, &mut Supply<'_, P, F>, &mut usize) -> R,
    ) -> Result<R, Busy> {
        let State {
            stock,
            table_frames,
            ..
        } = state;
        let answer = self.access.with(patience, |mapper, source| {
            let mut tree = Tree::new(mapper);
            let mut supply = Supply {
                mapper: tree.mapper(),
                source,
                give_back: self.give_back,
                stock,
            };
            work(&mut tree, &mut supply, table_frames)
        })?;
        self.table_frames
            .store(state.table_frames, Ordering::Relaxed);
        self.held_frames.store(state.stock.len(), Ordering::Relaxed);
        Ok(answer)
    }

    /// Takes frames away from `range` and leaves its pages as `left` says; with Empty, tables that
    /// are no longer needed go too.
    fn clear(
        &self,
        state: &mut State,
        range: VirtRange,
        patience: Patience,
        left: Leaf,
    ) -> Result<(), Busy> {
        match patience {
            Patience::Try => self.clear_at_once(state, range, left),
            Patience::Wait => {
                self.clear_in_steps(state, range, left);
                Ok(())
            }
        }
    }

    /// Under one hold of the kernel's locks: once begun, it cannot find them busy.
    fn clear_at_once(&self, state: &mut State, range: VirtRange, left: Leaf) -> Result<(), Busy> {
        self.with(state, Patience::Try, |tree, supply, table_frames| {
            if steps::retire(tree, range) {
                self.tlb.flush(range);
            }
            steps::collect(tree, supply, range, left);
            let loose = prune_unless_prepared(tree, range, left);
            if !loose.is_empty() {
                self.tlb.flush(range);
            }
            *table_frames = table_frames.saturating_sub(loose.len());
            supply.return_all(loose);
        })
    }

    /// With the kernel's locks free while other CPUs are told.
    fn clear_in_steps(&self, state: &mut State, range: VirtRange, left: Leaf) {
        if self.wait(state, |tree, _, _| steps::retire(tree, range)) {
            self.tlb.flush(range);
        }
        let mut loose = self.wait(state, |tree, supply, _| {
            steps::collect(tree, supply, range, left);
            prune_unless_prepared(tree, range, left)
        });
        if loose.is_empty() {
            return;
        }
        self.tlb.flush(range);
        self.wait(state, |_, supply, table_frames| {
            *table_frames = table_frames.saturating_sub(loose.len());
            supply.return_all(core::mem::replace(&mut loose, Chain::EMPTY));
        });
    }

    fn wait<R>(
        &self,
        state: &mut State,
        mut work: impl FnMut(&mut Tree<'_, P>, &mut Supply<'_, P, F>, &mut usize) -> R,
    ) -> R {
        loop {
            if let Ok(answer) = self.with(state, Patience::Wait, &mut work) {
                return answer;
            }
        }
    }
}

fn prune_unless_prepared<P: PageTables>(
    tree: &mut Tree<'_, P>,
    range: VirtRange,
    left: Leaf,
) -> Chain {
    match left {
        Leaf::Empty => steps::prune(tree, range),
        _ => Chain::EMPTY,
    }
}

// SAFETY:
// - Ready pages are present and writable with a frame of their own, which the source gave to nobody
//   else; the mapper's tables are in use on every CPU, as whoever made the machine promised.
// - `Zeroed` is reported on the promise of `zeroed` alone, and never for frames that were held.
// - `prepare` and `commit` take all frames before a page changes its state; the others fail before
//   they begin.
// - `clear` flushes whatever was present before its frame is given back, through a `Tlb`, which
//   promises to reach every CPU; tables likewise.
// - Address and pointer are the same number.
unsafe impl<P, F, A, T> Machine for Paging<P, F, A, T>
where
    P: PageTables,
    F: FrameAllocator<Size4KiB> + Send + 'static,
    A: Access<P, F>,
    T: Tlb,
{
    const GEOMETRY: Geometry = Geometry::X86_64;

    type IndexRoot = [IndexWord; 1 << Geometry::X86_64.index_root_shift];

    /// A range that something is mapped in, or that lies under a table of the kernel's which
    /// forbids writing, is refused; so is one more range than [`MAX_WINDOWS`](crate::MAX_WINDOWS).
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
        let occupied = self.with(&mut state, patience, |tree, _, _| {
            steps::occupied(tree, range)
        })?;
        if let Some(occupied) = occupied {
            return Err(ReserveError::Occupied { occupied });
        }
        state.windows.add(range);
        Ok(())
    }

    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError> {
        let mut state = self.lock(patience)?;
        self.with(&mut state, patience, |tree, supply, table_frames| {
            let needed = steps::missing_tables(tree, range);
            let mut tables = supply
                .take_all(needed)
                .map_err(|available| PrepareError::PageTables { needed, available })?;
            steps::install(tree, range, &mut tables);
            *table_frames += needed;
            Ok(())
        })?
    }

    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError> {
        let mut state = self.lock(patience)?;
        let needed = range.bytes() / Self::GEOMETRY.granule_bytes();
        let staged = self.with(&mut state, patience, |tree, supply, _| {
            let staged = steps::stage(tree, supply, range)
                .map_err(|available| CommitError::Frames { needed, available })?;
            steps::activate(tree, range);
            Ok::<_, CommitError>(staged)
        })??;
        // Entries that become present need no flush, but they must be written before the memory is
        // touched.
        atomic::fence(Ordering::SeqCst);
        if self.zeroed && staged.all_fresh {
            Ok(Contents::Zeroed)
        } else {
            Ok(Contents::Unknown)
        }
    }

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let mut state = self.lock(patience)?;
        self.clear(&mut state, range, patience, Leaf::Prepared)
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let mut state = self.lock(patience)?;
        self.clear(&mut state, range, patience, Leaf::Empty)
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let mut state = self.lock(patience)?;
        self.clear(&mut state, range, patience, Leaf::Empty)?;
        state.windows.remove(range);
        Ok(())
    }

    /// The one place where a number becomes a pointer: what lies at the heap's addresses was mapped
    /// by page tables, of which the language knows nothing, so the provenance is an exposed one.
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
