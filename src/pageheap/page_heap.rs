//! The page heap: what it consists of.

use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::{Fault, Kernel, Machine, Offset, Report};

use super::bitmap::BitmapMemory;
use super::gate::{Closed, Gate, GateGuard};
use super::in_place::InPlace;
use super::pool::PagePool;
use super::run::ReadyRun;
use crate::arena::ArenaIndex;
use crate::base::PageRun;
use crate::base::held::HeapNumber;
use crate::region::{Cause, Ledger, PendingUndo, Purpose, Windows};
use crate::span::{Records, Scan};

/// Pages that one step inside the growth gate makes Ready, or takes the memory of, at most.
pub(super) const STEP: usize = 128;

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
    /// Ranges that count as Reserved and are not yet: see
    /// [`Space::finish_undo`](crate::region::Space::finish_undo).
    pub(crate) pending_undo: PendingUndo,
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
        Self {
            index: ArenaIndex::new(),
            online: InPlace::new(),
            ledger: Ledger::new(),
            gate: Gate::new(Gated {
                windows: Windows::new(),
                pending_undo: PendingUndo::NONE,
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

    /// [`online`](Self::online), of a heap that is known to be.
    ///
    /// # Safety
    /// The heap is online, and the caller knows it from a value that was published since.
    #[inline(always)]
    pub(crate) unsafe fn online_at_once(&self) -> &Online<M> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.online.get_at_once() }
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

    /// The number of the heap, which is new if it had none. The locks of the page heap get it, and
    /// the caller passes it on to all others.
    #[inline(always)]
    pub(crate) fn number_locks(&self) -> HeapNumber {
        let heap = self.pool.side.heap_or_new();
        self.bitmap.join(heap);
        heap
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
        self.gate.enter::<K>(self.pool.side.heap())
    }

    /// Enters the growth gate, unless a thread is inside.
    pub(super) fn enter_if_open(&self) -> Option<GateGuard<'_, Gated>> {
        self.gate.enter_if_open::<K>(self.pool.side.heap())
    }

    /// Enters the growth gate.
    ///
    /// # Errors
    /// [`Cause::Busy`] if another thread is inside and interrupts are masked. Stops the machine if
    /// the machine itself calls.
    pub(crate) fn enter(&self) -> Result<GateGuard<'_, Gated>, Cause> {
        match self.gate.enter::<K>(self.pool.side.heap()) {
            Ok(guard) => Ok(guard),
            Err(Closed::Busy) => Err(Cause::Busy),
            Err(Closed::Inside) => self.stop_machine_allocates(),
        }
    }

    /// Stops the machine, because its mapper or frame allocator allocated without ATOMIC, or
    /// because another thread or CPU has the number of the one inside the gate.
    pub(crate) fn stop_machine_allocates(&self) -> ! {
        K::stop(&Report {
            fault: Fault::MachineAllocates,
            address: None,
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

    /// Whether metadata has a window of its own.
    pub(crate) fn metadata_is_apart(&self) -> bool {
        self.pool.metadata_is_apart.load(Relaxed)
    }

    /// Whether the reserve is being filled.
    pub(crate) fn reserve_is_filling(&self) -> bool {
        self.pool.reserve_is_filling.load(Relaxed)
    }

    /// Notes whether the reserve is being filled.
    pub(crate) fn set_reserve_filling(&self, is_filling: bool) {
        self.pool.reserve_is_filling.store(is_filling, Relaxed);
    }

    /// Whether the block of a CPU is being made.
    pub(crate) fn makes_block(&self) -> bool {
        self.pool.makes_block.load(Relaxed)
    }

    /// Notes whether the block of a CPU is being made. The caller holds the central lock.
    pub(crate) fn set_makes_block(&self, makes: bool) {
        self.pool.makes_block.store(makes, Relaxed);
    }

    /// Pages in the reserve.
    pub(crate) fn reserve_pages(&self) -> usize {
        self.pool.reserve_pages()
    }

    /// Notes that the reserve could not be filled with the memory that the heap has.
    pub(crate) fn note_refusal(&self) {
        self.pool.refused_at.store(self.memory_print(), Relaxed);
    }

    /// Whether the heap has other memory, or another limit, than when the reserve could not be
    /// filled.
    pub(crate) fn has_changed_since_refusal(&self) -> bool {
        self.pool.refused_at.load(Relaxed) != self.memory_print()
    }

    /// A number that is another one if the heap's memory changed, but for a rare coincidence.
    fn memory_print(&self) -> usize {
        let ledger = &self.ledger;
        let free = ledger.of(Purpose::Free).rotate_left(usize::BITS / 2);
        ledger.mapped_ready() ^ free ^ ledger.limit()
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

#[cfg(test)]
mod tests {
    use archipelago_sim::{Hosted, Plain32, Sim};

    use super::{PageHeap, Purpose};

    #[test]
    fn a_reserve_that_could_not_be_filled_is_filled_again_once_memory_has_changed() {
        let heap = PageHeap::<Sim<Plain32>, Hosted>::new();
        let changes_by = |change: &dyn Fn()| {
            heap.note_refusal();
            assert!(!heap.has_changed_since_refusal());
            change();
            heap.has_changed_since_refusal()
        };
        let ledger = heap.ledger();
        assert!(changes_by(&|| ledger.plant(Purpose::Free, 1 << 12)));
        assert!(changes_by(&|| ledger.set_limit(1 << 20)));
        assert!(changes_by(&|| {
            // Both by as much.
            ledger.plant(Purpose::Free, 1 << 13);
            ledger.set_limit((1 << 20) + (1 << 13));
        }));
        assert!(!changes_by(&|| ()));
    }
}
