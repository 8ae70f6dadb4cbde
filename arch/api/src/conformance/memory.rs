//! Rules about what is in the memory.

use super::Outcome;
use super::ground::{CELLS, Ground, State};
use crate::{Contents, Machine};

/// Every byte keeps what is written to it, so none is shared with another.
pub(super) fn committed_memory_keeps_what_is_written<M: Machine>(
    ground: &Ground<'_, M>,
) -> Outcome {
    ground.make_ready(0..CELLS)?;
    for salt in [0, 0xFF] {
        ground.fill(0..CELLS, salt)?;
        if !ground.holds(0..CELLS, salt)? {
            return Err("committed memory loses what is written, or is shared");
        }
    }
    Ok(())
}

/// Memory reported as zeroed is zero: fresh, used before, and with new page tables.
pub(super) fn memory_reported_zeroed_is_zero<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    let check = |contents: Contents| {
        if contents == Contents::Zeroed && !ground.is_zero(0..4)? {
            return Err("memory reported as zeroed is not zero");
        }
        ground.fill(0..4, 5)
    };
    check(ground.make_ready(0..4)?)?;
    ground.decommit(0..4)?;
    check(ground.commit(0..4)?)?;
    ground.fault(0..4)?;
    ground.prepare(0..4)?;
    check(ground.commit(0..4)?)?;
    ground.release(0..4)?;
    check(ground.make_ready(0..4)?)
}

/// What lies beside a range stays while the range becomes Ready.
pub(super) fn reserve_and_commit_leave_their_neighbours_alone<M: Machine>(
    ground: &Ground<'_, M>,
) -> Outcome {
    ground.make_ready(0..4)?;
    ground.make_ready(8..CELLS)?;
    beside(ground, |ground| {
        ground.make_ready(4..8).map(|_| ())?;
        ground.decommit(5..7)?;
        ground.commit(5..7).map(|_| ())
    })
}

/// What lies beside a decommitted range stays.
pub(super) fn decommit_leaves_its_neighbours_alone<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    ground.make_ready(0..CELLS)?;
    beside(ground, |ground| ground.decommit(4..8))
}

/// What lies beside a faulted range stays.
pub(super) fn fault_leaves_its_neighbours_alone<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    ground.make_ready(0..CELLS)?;
    beside(ground, |ground| ground.fault(4..8))
}

/// What lies beside a released range stays.
pub(super) fn release_leaves_its_neighbours_alone<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    ground.make_ready(0..CELLS)?;
    beside(ground, |ground| ground.release(4..8))
}

/// Does something to the cells 4 to 8, and checks that those below and above, which are Ready,
/// stay.
fn beside<M: Machine>(
    ground: &Ground<'_, M>,
    act: impl FnOnce(&Ground<'_, M>) -> Outcome,
) -> Outcome {
    debug_assert!(ground.state(3) == State::Ready && ground.state(8) == State::Ready);
    ground.fill(0..4, 6)?;
    ground.fill(8..CELLS, 7)?;
    act(ground)?;
    if !ground.holds(0..4, 6)? {
        return Err("the memory below the range changes");
    }
    if !ground.holds(8..CELLS, 7)? {
        return Err("the memory above the range changes");
    }
    Ok(())
}
