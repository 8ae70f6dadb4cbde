//! The machine.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, Machine, Patience, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};
use spin::{Mutex, MutexGuard};

use crate::access::{Access, Owned};
use crate::frames::{Chain, GiveBack, Supply};
use crate::steps;
use crate::windows::Windows;
use crate::{Leaf, Returns, Scheme, Takes, Tlb};

/// The machine of a kernel whose page tables `P` are of the scheme `S`, with its frame source `F`;
/// both behind the locks `A`, and with `T` to make its CPUs forget translations. The crate of each
/// machine names it with its own scheme and shows how it is plugged in.
#[derive(Debug)]
pub struct Paging<S: Scheme<P>, P, F, A, T> {
    access: A,
    tlb: T,
    give_back: Option<GiveBack<F>>,
    zeroed: bool,
    /// Held for the whole of a call, so that a call sees no other's half. Outermost: the kernel's
    /// locks are taken inside of it, and nobody takes it who holds one of those.
    state: Mutex<State<S::Made>>,
    /// Copies for [`Machine::footprint`], which takes no lock.
    table_frames: AtomicUsize,
    held_frames: AtomicUsize,
    _tables: PhantomData<fn(&mut P)>,
}

#[derive(Debug)]
struct State<M> {
    windows: Windows,
    stock: Chain,
    made: M,
    table_frames: usize,
}

impl<S: Scheme<P>, P, F> Paging<S, P, F, Owned<P, F>, S::LocalTlb> {
    /// A machine that owns tables and frame source. What `frames` handed out it does not get back,
    /// until [`returning`](Self::returning) says that it may: frames that are no longer needed are
    /// held and used first.
    ///
    /// # Safety
    /// As for [`shared`](Self::shared).
    #[must_use]
    pub const unsafe fn new(tables: P, frames: F) -> Self {
        // SAFETY: the caller promises what `shared` asks for, and an `Owned` never changes what it
        // holds.
        unsafe { Self::shared(Owned::new(tables, frames)) }
    }
}

impl<S: Scheme<P>, P, F, A> Paging<S, P, F, A, S::LocalTlb> {
    /// A machine that uses tables and frame source behind the kernel's own locks.
    ///
    /// # Safety
    /// - `access` always leads to the same tables and the same frame source.
    /// - The tables translate the heap's windows on every CPU that uses the heap. Where several sets
    ///   of tables are in use, all of them share what translates the windows: the kernel links
    ///   that beforehand.
    /// - Every frame of the source can be reached as the tables say, and lies at no null address.
    /// - The CPU is set up as the scheme `S` asks on its own page.
    /// - While a range is reserved, nobody but the machine changes entries that translate it.
    #[must_use]
    pub const unsafe fn shared(access: A) -> Self {
        Self {
            access,
            tlb: S::LOCAL_TLB,
            give_back: None,
            zeroed: false,
            state: Mutex::new(State {
                windows: Windows::EMPTY,
                stock: Chain::EMPTY,
                made: S::NONE_MADE,
                table_frames: 0,
            }),
            table_frames: AtomicUsize::new(0),
            held_frames: AtomicUsize::new(0),
            _tables: PhantomData,
        }
    }
}

impl<S: Scheme<P>, P, F, A, T> Paging<S, P, F, A, T> {
    /// Gives frames back to the source when they are no longer needed.
    #[must_use]
    pub fn returning(self) -> Self
    where
        S: Returns<F>,
    {
        Self {
            give_back: Some(S::give_back),
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
    pub fn with_tlb<U: Tlb>(self, tlb: U) -> Paging<S, P, F, A, U> {
        Paging {
            access: self.access,
            tlb,
            give_back: self.give_back,
            zeroed: self.zeroed,
            state: self.state,
            table_frames: self.table_frames,
            held_frames: self.held_frames,
            _tables: PhantomData,
        }
    }
}

impl<S, P, F, A, T> Paging<S, P, F, A, T>
where
    S: Scheme<P> + Takes<F>,
    A: Access<P, F>,
    T: Tlb,
{
    fn lock(&self, patience: Patience) -> Result<MutexGuard<'_, State<S::Made>>, Busy> {
        match patience {
            Patience::Wait => Ok(self.state.lock()),
            Patience::Try => self.state.try_lock().ok_or(Busy),
        }
    }

    /// Runs `work` on what the kernel's locks guard, and brings the copies of the counters up to
    /// date.
    fn with<R>(
        &self,
        state: &mut State<S::Made>,
        patience: Patience,
        work: impl FnOnce(&mut Hold<'_, S::Made, P, F>) -> R,
    ) -> Result<R, Busy> {
        let State {
            stock,
            made,
            table_frames,
            ..
        } = state;
        let answer = self.access.with(patience, |tables, source| {
            work(&mut Hold {
                tables,
                made,
                supply: Supply {
                    source,
                    give_back: self.give_back,
                    stock,
                },
                table_frames,
            })
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
        state: &mut State<S::Made>,
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
    fn clear_at_once(
        &self,
        state: &mut State<S::Made>,
        range: VirtRange,
        left: Leaf,
    ) -> Result<(), Busy> {
        self.with(state, Patience::Try, |hold| {
            if steps::retire::<S, P>(hold.tables, range) {
                self.tlb.flush(range);
            }
            let loose = hold.empty::<S>(range, left);
            if !loose.is_empty() {
                self.tlb.flush(S::served(range));
                hold.drop_tables::<S>(loose);
            }
        })
    }

    /// With the kernel's locks free while other CPUs are told.
    fn clear_in_steps(&self, state: &mut State<S::Made>, range: VirtRange, left: Leaf) {
        if self.wait(state, |hold| steps::retire::<S, P>(hold.tables, range)) {
            self.tlb.flush(range);
        }
        let mut loose = self.wait(state, |hold| hold.empty::<S>(range, left));
        if loose.is_empty() {
            return;
        }
        self.tlb.flush(S::served(range));
        self.wait(state, |hold| {
            hold.drop_tables::<S>(core::mem::replace(&mut loose, Chain::EMPTY));
        });
    }

    fn wait<R>(
        &self,
        state: &mut State<S::Made>,
        mut work: impl FnMut(&mut Hold<'_, S::Made, P, F>) -> R,
    ) -> R {
        loop {
            if let Ok(answer) = self.with(state, Patience::Wait, &mut work) {
                return answer;
            }
        }
    }
}

/// What a call works on while it holds the kernel's locks.
struct Hold<'a, M, P, F> {
    tables: &'a mut P,
    made: &'a mut M,
    supply: Supply<'a, F>,
    table_frames: &'a mut usize,
}

impl<M, P, F> Hold<'_, M, P, F> {
    /// Gives back what is behind `range`, and unlinks tables if nothing is left there.
    fn empty<S: Scheme<P, Made = M>>(&mut self, range: VirtRange, left: Leaf) -> Chain {
        steps::collect::<S, P, F>(self.tables, &mut self.supply, range, left);
        match left {
            Leaf::Empty => S::prune(self.tables, self.made, range),
            _ => Chain::EMPTY,
        }
    }

    /// Gives back tables that nothing links and no CPU remembers.
    fn drop_tables<S: Scheme<P, Made = M>>(&mut self, loose: Chain) {
        *self.table_frames = self.table_frames.saturating_sub(loose.len());
        self.supply.return_all::<S, P>(self.tables, loose);
    }
}

// SAFETY:
// - Ready pages are read-write, as the scheme promises, with a frame of their own, which the source
//   gave to nobody else; the tables are in use on every CPU, as whoever made the machine promised,
//   and `filled` lets every CPU find what is new in them.
// - `Zeroed` is reported on the promise of `zeroed` alone, and never for frames that were held.
// - `prepare` and `commit` take all frames before a page changes its state; the others fail before
//   they begin.
// - `clear` flushes whatever was Ready before its frame is given back, through a `Tlb`, which
//   promises to reach every CPU; tables likewise.
// - Address and pointer are the same number.
unsafe impl<S, P, F, A, T> Machine for Paging<S, P, F, A, T>
where
    S: Scheme<P> + Takes<F>,
    P: Send + 'static,
    F: Send + 'static,
    A: Access<P, F>,
    T: Tlb,
{
    const GEOMETRY: Geometry = S::GEOMETRY;

    type IndexRoot = S::IndexRoot;

    /// A range that something is mapped in, or that lies under a table of the kernel's which cannot
    /// serve the heap, is refused; so is one more range than [`MAX_WINDOWS`](crate::MAX_WINDOWS).
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
        let occupied = self.with(&mut state, patience, |hold| S::occupied(hold.tables, range))?;
        if let Some(occupied) = occupied {
            return Err(ReserveError::Occupied { occupied });
        }
        state.windows.add(range);
        Ok(())
    }

    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError> {
        let mut state = self.lock(patience)?;
        self.with(&mut state, patience, |hold| {
            let needed = S::missing(hold.tables, range);
            let mut spare = hold
                .supply
                .take_all::<S, P>(hold.tables, needed)
                .map_err(|available| PrepareError::PageTables { needed, available })?;
            S::install(hold.tables, hold.made, range, &mut spare);
            *hold.table_frames += needed;
            Ok(())
        })?
    }

    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError> {
        let mut state = self.lock(patience)?;
        let needed = range.bytes() / Self::GEOMETRY.granule_bytes();
        let staged = self.with(&mut state, patience, |hold| {
            let staged = steps::stage::<S, P, F>(hold.tables, &mut hold.supply, range)
                .map_err(|available| CommitError::Frames { needed, available })?;
            steps::activate::<S, P>(hold.tables, range);
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
