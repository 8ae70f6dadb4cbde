//! The page heap: what it consists of.

use archipelago_api::{Fault, Kernel, Machine, Offset, Report, VirtAddr, VirtRange};

use super::bitmap::BitmapMemory;
use super::gate::{Closed, Gate, GateGuard};
use super::in_place::InPlace;
use super::pool::PagePool;
use super::run::ReadyRun;
use crate::arena::ArenaIndex;
use crate::base::PageRun;
use crate::region::{Cause, Ledger, Windows};
use crate::span::{Records, Scan};

/// A heap of pages on the machine `M` in the kernel `K`.
///
/// The page heap owns the windows, the machine, every page and all metadata memory. It hands out
/// runs of Ready pages and takes them back; it knows spans only as far as their records' handles
/// must reach. What its user keeps back it asks for through [`Reclaim`](super::Reclaim).
pub(crate) struct PageHeap<M: Machine, K: Kernel> {
    pub(super) index: ArenaIndex<M>,
    pub(super) online: InPlace<Online<M>>,
    pub(super) ledger: Ledger,
    pub(super) gate: Gate<Gated>,
    pub(super) pool: PagePool<M, K>,
    pub(super) bitmap: BitmapMemory<K>,
}

/// The machine that `init` brought, and the base of span handles.
#[derive(Debug)]
pub(crate) struct Online<M> {
    /// The machine.
    pub(crate) machine: M,
    /// The offset that span handles count from.
    pub(crate) anchor: Offset,
}

/// The state that only the thread inside the growth gate touches.
#[derive(Debug)]
pub(crate) struct Gated {
    /// The windows and metadata memory.
    pub(crate) windows: Windows,
    /// A range that counts as Reserved and is still Prepared: see
    /// [`Space::finish_undo`](crate::region::Space::finish_undo).
    pub(crate) pending_undo: Option<VirtRange>,
}

impl<M: Machine> Online<M> {
    /// The way from handles to span records.
    #[inline(always)]
    pub(crate) fn records(&self) -> Records<'_, M> {
        Records::new(&self.machine, self.anchor)
    }
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// A page heap without windows.
    pub(crate) const fn new() -> Self {
        let page_bytes = M::GEOMETRY.page_bytes();
        let block_bytes = ArenaIndex::<M>::BLOCK_BYTES;
        Self {
            index: ArenaIndex::new(),
            online: InPlace::new(),
            ledger: Ledger::new(),
            gate: Gate::new(Gated {
                windows: Windows::new(if block_bytes > page_bytes {
                    block_bytes
                } else {
                    page_bytes
                }),
                pending_undo: None,
            }),
            pool: PagePool::new(),
            bitmap: BitmapMemory::new(),
        }
    }

    /// The machine and the way to records, once the heap is online.
    #[inline(always)]
    pub(crate) fn online(&self) -> Option<&Online<M>> {
        self.online.get()
    }

    /// The index from addresses to spans.
    #[inline(always)]
    pub(crate) const fn index(&self) -> &ArenaIndex<M> {
        &self.index
    }

    /// The account.
    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The pages that are not in use.
    pub(crate) const fn pool(&self) -> &PagePool<M, K> {
        &self.pool
    }

    /// The memory of the heap bitmap.
    #[inline(always)]
    pub(crate) const fn bitmap(&self) -> &BitmapMemory<K> {
        &self.bitmap
    }

    /// Whether the caller is the machine, called from inside the growth gate.
    #[inline]
    pub(crate) fn is_called_by_machine(&self) -> bool {
        self.gate.is_inside::<K>()
    }

    /// Enters the growth gate, unless the machine itself calls.
    ///
    /// # Errors
    /// Another thread is inside and interrupts are masked, or the machine itself calls.
    pub(crate) fn try_enter(&self) -> Result<GateGuard<'_, Gated>, Closed> {
        self.gate.enter::<K>()
    }

    /// Enters the growth gate.
    ///
    /// # Errors
    /// [`Cause::Busy`] if another thread is inside and interrupts are masked. Stops the machine if
    /// the machine itself calls.
    pub(crate) fn enter(&self) -> Result<GateGuard<'_, Gated>, Cause> {
        match self.gate.enter::<K>() {
            Ok(guard) => Ok(guard),
            Err(Closed::Busy) => Err(Cause::Busy),
            Err(Closed::Inside) => self.stop_machine_allocates(),
        }
    }

    /// Stops the machine, because its mapper or frame allocator allocated without ATOMIC.
    pub(crate) fn stop_machine_allocates(&self) -> ! {
        K::stop(&Report {
            fault: Fault::MachineAllocates,
            address: VirtAddr::new(0),
            layout: None,
            span: None,
        })
    }

    /// Whether the reserve has less than the kernel asked for.
    #[inline(always)]
    pub(crate) fn reserve_is_low(&self) -> bool {
        self.pool.reserve_is_low()
    }

    /// Notes whether the reserve has less than the kernel asked for.
    pub(crate) fn set_reserve_low(&self, is_low: bool) {
        self.pool.set_reserve_low(is_low);
    }

    /// Frees a run, which stays Ready.
    ///
    /// # Locks
    /// Takes the page lock.
    pub(crate) fn free(&self, run: ReadyRun) {
        self.pool.free(&self.ledger, run);
    }

    /// Gives up the claim on the heap bitmap that covers `run`, whose span is gone.
    ///
    /// # Safety
    /// No object is in the pages.
    /// # Locks
    /// Takes the bitmap's lock.
    #[inline(always)]
    pub(crate) unsafe fn release_bits(&self, scan: Scan, run: PageRun) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.bitmap.release(&self.index, &self.ledger, scan, run) };
    }

    /// Whether the heap bitmap that covers `run` is Ready, or none is needed.
    #[inline(always)]
    pub(super) fn covers(&self, scan: Scan, run: PageRun) -> bool {
        self.bitmap.covers(&self.index, scan, run)
    }

    /// Claims the heap bitmap that covers `run`, if one is needed; `false` if not all of it is
    /// Ready.
    #[inline(always)]
    pub(super) fn claim_bits(&self, scan: Scan, run: PageRun) -> bool {
        self.bitmap.claim(&self.index, &self.ledger, scan, run)
    }
}
