//! Rules about a machine whose frames run out or whose lock is held.

use archipelago_api::{
    Busy, CommitError, Footprint, Machine, Patience, PrepareError, ReserveError,
};

use crate::fixture::{CELLS, Fixture, State};
use crate::subject::Outcome;

const UNACCOUNTED: &str = "frames in use are not those that are Ready, tables, or held";

/// The frames in use before the window is, which are not the suite's.
struct Ledger {
    in_use: usize,
    footprint: Footprint,
}

impl Ledger {
    fn open<M: Machine>(fixture: &Fixture<'_, M>) -> Result<Self, &'static str> {
        Ok(Self {
            in_use: fixture.exhaust()?.frames_in_use(),
            footprint: fixture.machine().footprint(),
        })
    }

    /// Checks that the frames taken since are Ready, page tables, or held.
    fn check<M: Machine>(&self, fixture: &Fixture<'_, M>) -> Outcome {
        let frames = |in_use: usize, footprint: Footprint| {
            in_use
                .checked_sub(footprint.table_frames)
                .and_then(|rest| rest.checked_sub(footprint.held_frames))
        };
        let before = frames(self.in_use, self.footprint).ok_or(UNACCOUNTED)?;
        let now = frames(
            fixture.exhaust()?.frames_in_use(),
            fixture.machine().footprint(),
        );
        if now.and_then(|now| now.checked_sub(before)) == Some(fixture.granules(State::Ready)?) {
            Ok(())
        } else {
            Err(UNACCOUNTED)
        }
    }
}

/// Frames in use are those of Ready memory, those of page tables, and those held.
pub(crate) fn every_frame_is_accounted_for<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    let ledger = Ledger::open(fixture)?;
    fixture.reserve(0..CELLS)?;
    ledger.check(fixture)?;
    fixture.prepare(0..CELLS)?;
    ledger.check(fixture)?;
    fixture.commit(2..10)?;
    ledger.check(fixture)?;
    fixture.decommit(3..5)?;
    ledger.check(fixture)?;
    fixture.fault(2..8)?;
    ledger.check(fixture)?;
    fixture.release(0..CELLS)?;
    ledger.check(fixture)
}

/// Runs `act` while the machine can have `frames` frames, those in stock among them, and then gives
/// it all there are. Runs nothing if more than that are in stock.
fn with_frames<M: Machine>(
    fixture: &Fixture<'_, M>,
    frames: usize,
    act: impl FnOnce() -> Outcome,
) -> Outcome {
    let exhaust = fixture.exhaust()?;
    let stock = fixture.machine().footprint().held_frames;
    let Some(available) = frames.checked_sub(stock) else {
        return Ok(());
    };
    exhaust.set_available_frames(available);
    let outcome = act();
    exhaust.set_available_frames(usize::MAX);
    outcome
}

/// A prepare that lacks frames leaves all of its range Reserved and no page table.
pub(crate) fn prepare_is_all_or_nothing<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    let ledger = Ledger::open(fixture)?;
    let tables = || fixture.machine().footprint().table_frames;
    let before = tables();
    fixture.reserve(0..CELLS)?;
    fixture.prepare(0..CELLS)?;
    let needed = tables().saturating_sub(before);
    fixture.fault(0..CELLS)?;
    for frames in 0..needed {
        with_frames(fixture, frames, || {
            match fixture.ask_prepare(0..CELLS, Patience::Wait)? {
                Err(PrepareError::PageTables { needed, available }) if needed > available => {}
                Err(_) => return Err("a refused prepare does not say how many frames are short"),
                Ok(()) => return Err("prepare needs fewer frames than it makes page tables"),
            }
            if tables() != before {
                return Err("a refused prepare leaves page tables");
            }
            ledger.check(fixture)
        })?;
    }
    fixture.prepare(0..CELLS)?;
    fixture.commit(0..CELLS).map(|_| ())
}

/// A commit that lacks frames leaves all of its range Prepared, and the memory beside it unchanged.
pub(crate) fn commit_is_all_or_nothing<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    let ledger = Ledger::open(fixture)?;
    fixture.reserve(0..CELLS)?;
    fixture.prepare(0..CELLS)?;
    fixture.commit(0..4)?;
    fixture.fill(0..4, 8)?;
    let granules = fixture.range(4..CELLS)?.bytes() >> M::GEOMETRY.granule_shift;
    for frames in [0, 1, granules / 2, granules.saturating_sub(1)] {
        with_frames(fixture, frames, || {
            match fixture.ask_commit(4..CELLS, Patience::Wait)? {
                Err(CommitError::Frames { needed, available })
                    if needed == granules && available < needed => {}
                Err(_) => return Err("a refused commit does not say how many frames are short"),
                Ok(_) => return Err("commit succeeds with fewer frames than granules"),
            }
            ledger.check(fixture)
        })?;
    }
    fixture.commit(4..CELLS)?;
    fixture.fill(4..CELLS, 8)?;
    if !fixture.holds(0..CELLS, 8)? {
        return Err("memory loses what is written after a refused commit");
    }
    fixture.decommit(4..CELLS)?;
    ledger.check(fixture)
}

/// While the machine's lock is held, every call that must not wait is Busy and changes nothing.
pub(crate) fn a_busy_machine_changes_nothing<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    const DONE: &str = "a call that must not wait is done while the lock is held";
    let cells = || 4..8;
    let held = |act: &dyn Fn() -> Result<bool, &'static str>| {
        let mut busy = Err("the machine does not run the function that holds its lock");
        fixture.contend()?.while_held(&mut || busy = act());
        if busy? { Ok(()) } else { Err(DONE) }
    };
    held(&|| Ok(fixture.ask_reserve(cells(), Patience::Try)? == Err(ReserveError::Busy)))?;
    fixture.reserve(cells())?;
    let tables = || fixture.machine().footprint();
    let before = tables();
    held(&|| Ok(fixture.ask_prepare(cells(), Patience::Try)? == Err(PrepareError::Busy)))?;
    if tables() != before {
        return Err("a prepare that is Busy makes page tables");
    }
    fixture.prepare(cells())?;
    held(&|| Ok(fixture.ask_commit(cells(), Patience::Try)? == Err(CommitError::Busy)))?;
    fixture.commit(cells())?;
    fixture.fill(cells(), 10)?;
    let before = tables();
    held(&|| Ok(fixture.ask_decommit(cells(), Patience::Try)? == Err(Busy)))?;
    held(&|| Ok(fixture.ask_fault(cells(), Patience::Try)? == Err(Busy)))?;
    held(&|| Ok(fixture.ask_release(cells(), Patience::Try)? == Err(Busy)))?;
    if tables() != before {
        return Err("a call that is Busy changes page tables");
    }
    if !fixture.holds(cells(), 10)? {
        return Err("a call that is Busy changes memory");
    }
    fixture.release(cells())
}
