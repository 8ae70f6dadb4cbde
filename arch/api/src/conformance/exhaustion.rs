//! Rules about a machine whose frames run out or whose lock somebody holds.

use super::Outcome;
use super::ground::{CELLS, Ground, State};
use crate::{Busy, CommitError, Footprint, Machine, Patience, PrepareError, ReserveError};

const UNACCOUNTED: &str = "frames in use are not those that are Ready, tables, or held";

/// The frames in use before the window is, which are not the suite's.
struct Ledger {
    in_use: usize,
    footprint: Footprint,
}

impl Ledger {
    fn open<M: Machine>(ground: &Ground<'_, M>) -> Result<Self, &'static str> {
        Ok(Self {
            in_use: ground.exhaust()?.frames_in_use(),
            footprint: ground.machine().footprint(),
        })
    }

    /// Checks that the frames taken since are Ready, page tables, or held.
    fn check<M: Machine>(&self, ground: &Ground<'_, M>) -> Outcome {
        let frames = |in_use: usize, footprint: Footprint| {
            in_use
                .checked_sub(footprint.table_frames)
                .and_then(|rest| rest.checked_sub(footprint.held_frames))
        };
        let before = frames(self.in_use, self.footprint).ok_or(UNACCOUNTED)?;
        let now = frames(
            ground.exhaust()?.frames_in_use(),
            ground.machine().footprint(),
        );
        if now.and_then(|now| now.checked_sub(before)) == Some(ground.granules(State::Ready)?) {
            Ok(())
        } else {
            Err(UNACCOUNTED)
        }
    }
}

/// Frames in use are those behind Ready memory, those of page tables, and those held.
pub(super) fn every_frame_is_accounted_for<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    let ledger = Ledger::open(ground)?;
    ground.reserve(0..CELLS)?;
    ledger.check(ground)?;
    ground.prepare(0..CELLS)?;
    ledger.check(ground)?;
    ground.commit(2..10)?;
    ledger.check(ground)?;
    ground.decommit(3..5)?;
    ledger.check(ground)?;
    ground.fault(2..8)?;
    ledger.check(ground)?;
    ground.release(0..CELLS)?;
    ledger.check(ground)
}

/// Runs `act` with `frames` frames to be had, those in stock among them, and then gives the machine
/// all there are. Runs nothing if more than that are in stock.
fn with_frames<M: Machine>(
    ground: &Ground<'_, M>,
    frames: usize,
    act: impl FnOnce() -> Outcome,
) -> Outcome {
    let exhaust = ground.exhaust()?;
    let stock = ground.machine().footprint().held_frames;
    let Some(available) = frames.checked_sub(stock) else {
        return Ok(());
    };
    exhaust.set_available_frames(available);
    let outcome = act();
    exhaust.set_available_frames(usize::MAX);
    outcome
}

/// A prepare that lacks frames leaves all of its range Reserved and no page table.
pub(super) fn prepare_is_all_or_nothing<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    let ledger = Ledger::open(ground)?;
    let tables = || ground.machine().footprint().table_frames;
    let before = tables();
    ground.reserve(0..CELLS)?;
    ground.prepare(0..CELLS)?;
    let needed = tables().saturating_sub(before);
    ground.fault(0..CELLS)?;
    for frames in 0..needed {
        with_frames(ground, frames, || {
            match ground.ask_prepare(0..CELLS, Patience::Wait)? {
                Err(PrepareError::PageTables { needed, available }) if needed > available => {}
                Err(_) => return Err("a refused prepare does not say how many frames are short"),
                Ok(()) => return Err("prepare needs fewer frames than it makes page tables"),
            }
            if tables() != before {
                return Err("a refused prepare leaves page tables");
            }
            ledger.check(ground)
        })?;
    }
    ground.prepare(0..CELLS)?;
    ground.commit(0..CELLS).map(|_| ())
}

/// A commit that lacks frames leaves all of its range Prepared, and what is beside it as it was.
pub(super) fn commit_is_all_or_nothing<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    let ledger = Ledger::open(ground)?;
    ground.reserve(0..CELLS)?;
    ground.prepare(0..CELLS)?;
    ground.commit(0..4)?;
    ground.fill(0..4, 8)?;
    let granules = ground.range(4..CELLS)?.bytes() >> M::GEOMETRY.granule_shift;
    for frames in [0, 1, granules / 2, granules.saturating_sub(1)] {
        with_frames(ground, frames, || {
            match ground.ask_commit(4..CELLS, Patience::Wait)? {
                Err(CommitError::Frames { needed, available })
                    if needed == granules && available < needed => {}
                Err(_) => return Err("a refused commit does not say how many frames are short"),
                Ok(_) => return Err("commit succeeds with fewer frames than granules"),
            }
            ledger.check(ground)
        })?;
    }
    ground.commit(4..CELLS)?;
    ground.fill(4..CELLS, 8)?;
    if !ground.holds(0..CELLS, 8)? {
        return Err("memory loses what is written after a refused commit");
    }
    ground.decommit(4..CELLS)?;
    ledger.check(ground)
}

/// While somebody holds the machine's lock, every call that must not wait is Busy and changes
/// nothing.
pub(super) fn a_busy_machine_changes_nothing<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    const DONE: &str = "a call that must not wait is done while the lock is held";
    let cells = || 4..8;
    let held = |act: &dyn Fn() -> Result<bool, &'static str>| {
        let mut busy = Err("the machine does not run what it was given while its lock is held");
        ground.contend()?.while_held(&mut || busy = act());
        if busy? { Ok(()) } else { Err(DONE) }
    };
    held(&|| Ok(ground.ask_reserve(cells(), Patience::Try)? == Err(ReserveError::Busy)))?;
    ground.reserve(cells())?;
    let tables = || ground.machine().footprint();
    let before = tables();
    held(&|| Ok(ground.ask_prepare(cells(), Patience::Try)? == Err(PrepareError::Busy)))?;
    if tables() != before {
        return Err("a prepare that is Busy makes page tables");
    }
    ground.prepare(cells())?;
    held(&|| Ok(ground.ask_commit(cells(), Patience::Try)? == Err(CommitError::Busy)))?;
    ground.commit(cells())?;
    ground.fill(cells(), 10)?;
    let before = tables();
    held(&|| Ok(ground.ask_decommit(cells(), Patience::Try)? == Err(Busy)))?;
    held(&|| Ok(ground.ask_fault(cells(), Patience::Try)? == Err(Busy)))?;
    held(&|| Ok(ground.ask_release(cells(), Patience::Try)? == Err(Busy)))?;
    if tables() != before {
        return Err("a call that is Busy changes page tables");
    }
    if !ground.holds(cells(), 10)? {
        return Err("a call that is Busy changes memory");
    }
    ground.release(cells())
}
