//! Rules about the contents of memory.

use archipelago_api::{Contents, Machine};

use crate::fixture::{CELLS, Fixture, State};
use crate::subject::Outcome;

/// Every byte keeps the value that is written to it, so no two bytes share memory.
pub(crate) fn committed_memory_keeps_what_is_written<M: Machine>(
    fixture: &Fixture<'_, M>,
) -> Outcome {
    fixture.make_ready(0..CELLS)?;
    for salt in [0, 0xFF] {
        fixture.fill(0..CELLS, salt)?;
        if !fixture.holds(0..CELLS, salt)? {
            return Err("committed memory loses what is written, or is shared");
        }
    }
    Ok(())
}

/// Memory reported as zeroed is zero: fresh, used before, and with new page tables.
pub(crate) fn memory_reported_zeroed_is_zero<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    let check = |contents: Contents| {
        if contents == Contents::Zeroed && !fixture.is_zero(0..4)? {
            return Err("memory reported as zeroed is not zero");
        }
        fixture.fill(0..4, 5)
    };
    check(fixture.make_ready(0..4)?)?;
    fixture.decommit(0..4)?;
    check(fixture.commit(0..4)?)?;
    fixture.fault(0..4)?;
    fixture.prepare(0..4)?;
    check(fixture.commit(0..4)?)?;
    fixture.release(0..4)?;
    check(fixture.make_ready(0..4)?)
}

/// Memory beside a range keeps its contents while the range becomes Ready.
pub(crate) fn reserve_and_commit_leave_their_neighbours_alone<M: Machine>(
    fixture: &Fixture<'_, M>,
) -> Outcome {
    fixture.make_ready(0..4)?;
    fixture.make_ready(8..CELLS)?;
    beside(fixture, |fixture| {
        fixture.make_ready(4..8).map(|_| ())?;
        fixture.decommit(5..7)?;
        fixture.commit(5..7).map(|_| ())
    })
}

/// Memory beside a decommitted range keeps its contents.
pub(crate) fn decommit_leaves_its_neighbours_alone<M: Machine>(
    fixture: &Fixture<'_, M>,
) -> Outcome {
    fixture.make_ready(0..CELLS)?;
    beside(fixture, |fixture| fixture.decommit(4..8))
}

/// Memory beside a faulted range keeps its contents.
pub(crate) fn fault_leaves_its_neighbours_alone<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    fixture.make_ready(0..CELLS)?;
    beside(fixture, |fixture| fixture.fault(4..8))
}

/// Memory beside a released range keeps its contents.
pub(crate) fn release_leaves_its_neighbours_alone<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    fixture.make_ready(0..CELLS)?;
    beside(fixture, |fixture| fixture.release(4..8))
}

/// Runs `act`, which changes the cells 4 to 8, and checks that those below and above, which are
/// Ready, keep their contents.
fn beside<M: Machine>(
    fixture: &Fixture<'_, M>,
    act: impl FnOnce(&Fixture<'_, M>) -> Outcome,
) -> Outcome {
    debug_assert!(fixture.state(3) == State::Ready && fixture.state(8) == State::Ready);
    fixture.fill(0..4, 6)?;
    fixture.fill(8..CELLS, 7)?;
    act(fixture)?;
    if !fixture.holds(0..4, 6)? {
        return Err("the memory below the range changes");
    }
    if !fixture.holds(8..CELLS, 7)? {
        return Err("the memory above the range changes");
    }
    Ok(())
}
