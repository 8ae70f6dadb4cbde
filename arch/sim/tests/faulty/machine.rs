//! The machine: a simulated one with one flaw.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, Machine, Patience, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};
use archipelago_conformance::{Contend, Exhaust};
use archipelago_sim::{Plain32, Sim, SimGeometry, State};

use crate::flaws::Flaw;

const GRANULE: usize = 0x1000;

/// The window under test: 21 granules over the end of a page table.
pub(crate) fn window() -> VirtRange {
    VirtRange::new(VirtAddr::new(0x1f_7000), 21 * GRANULE).expect("does not wrap")
}

/// A simulated machine with one flaw. Its memory does not trap, so that the suite finds the flaw
/// and not the host.
pub(crate) struct Faulty {
    sim: Sim<Plain32>,
    flaw: Flaw,
    /// Frames or page tables that went missing.
    lost: AtomicUsize,
    /// Whether a commit comes after a decommit.
    decommitted: AtomicBool,
    /// Whether the machine is told that its lock is held.
    held: AtomicBool,
}

impl Faulty {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self {
            sim: Sim::<Plain32>::builder().traps(false).build(),
            flaw,
            lost: AtomicUsize::new(0),
            decommitted: AtomicBool::new(false),
            held: AtomicBool::new(false),
        }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// The number of things that went missing, if the machine has this flaw.
    fn lost_by(&self, flaw: Flaw) -> usize {
        if self.is(flaw) {
            self.lost.load(Ordering::Relaxed)
        } else {
            0
        }
    }

    fn lose_one(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn busy(&self, patience: Patience) -> Result<(), Busy> {
        if patience == Patience::Try && self.held.load(Ordering::Relaxed) {
            return Err(Busy);
        }
        Ok(())
    }

    /// Damages the bytes on both sides of `range` as far as they are Ready.
    fn spill(&self, range: VirtRange) {
        let beside = [range.base().checked_sub(1), range.end()];
        for addr in beside.into_iter().flatten() {
            if self.sim.state(addr) == State::Ready {
                let byte = self.sim.pointer(addr);
                // SAFETY: the byte is Ready, and the suite runs in this thread alone.
                let value = unsafe { byte.read_volatile() };
                // SAFETY: as above.
                unsafe { byte.write_volatile(!value) };
            }
        }
    }

    /// Trades two granules of the window for each other if its memory is torn: the first and the
    /// last, or the first ones of two windows.
    fn torn(&self, addr: VirtAddr) -> VirtAddr {
        let traded = match self.flaw {
            Flaw::PointersAreTorn => [0, window().bytes() / GRANULE - 1],
            Flaw::WindowsAreApart => [4, 8],
            _ => return addr,
        };
        let [one, other] = traded.map(|granule| window().base().value() + granule * GRANULE);
        let inside = addr.value() % GRANULE;
        VirtAddr::new(match addr.value() - inside {
            granule if granule == one => other + inside,
            granule if granule == other => one + inside,
            _ => addr.value(),
        })
    }
}

/// The first quarter of a range, in whole granules.
fn quarter(range: VirtRange) -> VirtRange {
    let bytes = range.bytes() / 4 / GRANULE * GRANULE;
    range.split_at(bytes).expect("a part of it").0
}

/// The granules of a range.
fn granules(range: VirtRange) -> impl Iterator<Item = VirtRange> {
    let first = range.base().value();
    (first..first + range.bytes())
        .step_by(GRANULE)
        .map(|base| VirtRange::new(VirtAddr::new(base), GRANULE).expect("does not wrap"))
}

// SAFETY: these machines break the contract on purpose. Their memory is the simulated machine's,
// which stays accessible whatever its state, so only the suite's result depends on a flaw.
unsafe impl Machine for Faulty {
    const GEOMETRY: Geometry = Plain32::GEOMETRY;
    type IndexRoot = <Plain32 as SimGeometry>::IndexRoot;

    unsafe fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        self.busy(patience)?;
        if self.is(Flaw::ReserveTakesMore) {
            let more = VirtRange::new(range.base(), range.bytes() + GRANULE);
            // SAFETY: the caller's promise is the same.
            if unsafe { self.sim.reserve(more.expect("does not wrap"), patience) }.is_ok() {
                return Ok(());
            }
        }
        // SAFETY: the caller's promise is the same.
        match unsafe { self.sim.reserve(range, patience) } {
            Err(ReserveError::Occupied { .. }) if self.is(Flaw::ReserveTakesWhatIsTaken) => Ok(()),
            Err(ReserveError::Occupied { .. }) if self.is(Flaw::ReserveNamesAnotherPart) => {
                let end = range.end().expect("not at the top");
                let occupied = VirtRange::new(end, GRANULE).expect("does not wrap");
                Err(ReserveError::Occupied { occupied })
            }
            Err(ReserveError::Outside { .. }) if self.is(Flaw::ReserveTakesWhatIsOutside) => Ok(()),
            answer => answer,
        }
    }

    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError> {
        self.busy(patience)?;
        if self.is(Flaw::PrepareThatMustNotWaitIsRefused) && patience == Patience::Try {
            return Err(PrepareError::PageTables {
                needed: 1,
                available: 0,
            });
        }
        // SAFETY: the simulated machine checks the state itself.
        let answer = unsafe { self.sim.prepare(range, patience) };
        if answer.is_err() && self.is(Flaw::PrepareKeepsAPart) {
            // SAFETY: the simulated machine checks the state itself; its result does not matter
            // here.
            let _ = unsafe { self.sim.prepare(quarter(range), patience) };
        }
        answer
    }

    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError> {
        self.busy(patience)?;
        if self.is(Flaw::CommitThatWaitsIsBusy) && patience == Patience::Wait {
            return Err(CommitError::Busy);
        }
        let refuses = self.is(Flaw::CommitAfterDecommitIsRefused);
        if refuses && self.decommitted.swap(false, Ordering::Relaxed) {
            return Err(CommitError::Frames {
                needed: 1,
                available: 0,
            });
        }
        // SAFETY: the simulated machine checks the state itself.
        let answer = unsafe { self.sim.commit(range, patience) };
        if self.is(Flaw::CommitSpillsOver) {
            self.spill(range);
        }
        match (self.flaw, answer) {
            (Flaw::ZeroedIsNotZero, Ok(_)) => Ok(Contents::Zeroed),
            (Flaw::CommitKeepsAPart, Err(error)) => {
                // SAFETY: the simulated machine checks the state itself; its result does not matter
                // here.
                let _ = unsafe { self.sim.commit(quarter(range), patience) };
                Err(error)
            }
            (Flaw::CommitSaysNoFigures, Err(_)) => Err(CommitError::Frames {
                needed: 0,
                available: 0,
            }),
            (Flaw::CommitFindsMoreFrames, Err(_)) => {
                self.sim.set_available_frames(usize::MAX);
                // SAFETY: as above.
                unsafe { self.sim.commit(range, patience) }
            }
            (_, answer) => answer,
        }
    }

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let busy = self.busy(patience);
        if busy.is_err() && !self.is(Flaw::DecommitUnderTheLock) {
            return busy;
        }
        // SAFETY: the simulated machine checks the state itself.
        unsafe { self.sim.decommit(range, patience) }?;
        self.decommitted.store(true, Ordering::Relaxed);
        if self.is(Flaw::DecommitSpillsOver) || self.is(Flaw::DecommitOverWindowsSpillsOver) {
            self.spill(range);
        }
        if self.is(Flaw::DecommitDropsATable) {
            self.lose_one();
        }
        if self.is(Flaw::DecommitIsDoneAndBusy) && patience == Patience::Try {
            return Err(Busy);
        }
        busy
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        self.busy(patience)?;
        if self.is(Flaw::FaultLeavesThePrepared) {
            for granule in granules(range) {
                if self.sim.state(granule.base()) == State::Ready {
                    // SAFETY: the simulated machine checks the state itself.
                    unsafe { self.sim.fault(granule, patience) }?;
                }
            }
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { self.sim.fault(range, patience) }?;
        if self.is(Flaw::FaultSpillsOver) {
            self.spill(range);
        }
        if self.is(Flaw::FaultLeaksATable) {
            self.lose_one();
        }
        Ok(())
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        self.busy(patience)?;
        if self.is(Flaw::ReleaseLeaksAFrame) {
            self.lose_one();
        }
        let last = granules(range).last().expect("a range is not empty");
        for granule in granules(range) {
            let keeps = self.is(Flaw::ReleaseLeavesTheLastGranule) && granule == last;
            if !keeps {
                // SAFETY: the simulated machine checks the state itself.
                unsafe { self.sim.release(granule, patience) }?;
            } else if self.sim.state(granule.base()) != State::Reserved {
                // SAFETY: as above.
                unsafe { self.sim.fault(granule, patience) }?;
            }
        }
        if self.is(Flaw::ReleaseSpillsOver) {
            self.spill(range);
        }
        Ok(())
    }

    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        let last = granules(window()).last().expect("a window is not empty");
        if self.is(Flaw::MemoryIsShared) && last.contains(addr) {
            let below = addr.checked_sub(GRANULE).expect("the window is longer");
            return self.sim.pointer(below);
        }
        self.sim.pointer(self.torn(addr))
    }

    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        let addr = self.sim.address(pointer).map(|addr| self.torn(addr));
        match self.flaw {
            Flaw::TheLastByteHasNoAddress => addr.filter(|&addr| window().last() != Some(addr)),
            Flaw::ForeignPointersHaveAddresses => addr.or(Some(VirtAddr::new(usize::MAX))),
            _ => addr,
        }
    }

    fn footprint(&self) -> Footprint {
        let footprint = self.sim.footprint();
        let grown = footprint.table_frames + self.lost_by(Flaw::FaultLeaksATable);
        Footprint {
            table_frames: grown.saturating_sub(self.lost_by(Flaw::DecommitDropsATable)),
            ..footprint
        }
    }
}

impl Exhaust for Faulty {
    fn set_available_frames(&self, frames: usize) {
        self.sim.set_available_frames(frames);
    }

    fn frames_in_use(&self) -> usize {
        self.sim.frames_in_use() + self.lost_by(Flaw::ReleaseLeaksAFrame)
    }
}

impl Contend for Faulty {
    fn while_held(&self, act: &mut dyn FnMut()) {
        self.held
            .store(!self.is(Flaw::TheLockIsIgnored), Ordering::Relaxed);
        act();
        self.held.store(false, Ordering::Relaxed);
    }
}
