//! Rules about the states and the page tables.

use core::ops::Range;

use super::Outcome;
use super::ground::{CELLS, Ground, State};
use crate::{CommitError, Machine, Offset, Patience, PrepareError, ReserveError, VirtRange};

/// Reserving takes what was asked for, and neither a granule more nor one less.
pub(super) fn reserve_takes_exactly_its_range<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    ground.reserve(4..8)?;
    ground.reserve(3..4)?;
    ground.reserve(8..9)?;
    ground.release(4..8)?;
    ground.reserve(5..7)?;
    ground.reserve(4..5)?;
    ground.reserve(7..8)?;
    ground.release(3..4)?;
    ground.reserve(0..4)?;
    ground.reserve(9..CELLS)
}

/// Reserving what is taken, in whole or in part, is refused and takes nothing.
pub(super) fn reserve_refuses_what_overlaps<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    ground.make_ready(4..8)?;
    ground.fill(4..8, 1)?;
    for overlapping in [4..8, 3..5, 7..9, 5..6, 3..9] {
        let range = ground.range(overlapping)?;
        match ground.machine().reserve(range, Patience::Wait) {
            Ok(()) => return Err("reserve takes what is taken already"),
            Err(ReserveError::Occupied { occupied }) if occupied.overlaps(range) => {}
            Err(_) => return Err("a refused reserve does not name the part that is occupied"),
        }
    }
    if !ground.holds(4..8, 1)? {
        return Err("a refused reserve changes memory");
    }
    ground.reserve(3..4)?;
    ground.reserve(8..9)
}

/// Reserving what lies beyond the address space is refused.
pub(super) fn reserve_refuses_what_lies_outside<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    let geometry = M::GEOMETRY;
    let above = geometry.last_offset().value().checked_add(1);
    let Some(above) = above.map(|offset| geometry.address(Offset::new(offset))) else {
        // The space is as wide as a pointer: no address is outside of it.
        return Ok(());
    };
    let outside = VirtRange::new(above, geometry.granule_bytes());
    let Some(outside) = outside.filter(|&range| !geometry.contains(range)) else {
        return Ok(());
    };
    match ground.machine().reserve(outside, Patience::Wait) {
        Err(ReserveError::Outside { range }) if range == outside => Ok(()),
        _ => Err("reserve does not refuse a range outside the address space"),
    }
}

/// Whatever the contract allows next succeeds, in every order of six calls after reserve.
pub(super) fn every_path_through_the_states_is_open<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    /// Each call chooses one of at most three.
    const PATHS: usize = 729;
    /// Miri takes a sample, with a step that is prime to the number of choices.
    const STEP: usize = if cfg!(miri) { 40 } else { 1 };
    for path in (0..PATHS).step_by(STEP) {
        ground.reserve(2..4)?;
        let mut choices = path;
        for _ in 0..6 {
            step(ground, 2..4, choices % 3)?;
            choices /= 3;
        }
        ground.clear()?;
    }
    Ok(())
}

/// Takes one of the steps that the contract allows from where the cells are.
fn step<M: Machine>(ground: &Ground<'_, M>, cells: Range<usize>, choice: usize) -> Outcome {
    match (ground.state(cells.start), choice) {
        (State::None, _) => ground.reserve(cells),
        (State::Reserved, 0 | 1) => ground.prepare(cells),
        (State::Prepared, 0) => ground.commit(cells.clone()).and_then(|_| {
            ground.fill(cells.clone(), 9)?;
            if ground.holds(cells, 9)? {
                Ok(())
            } else {
                Err("memory that was committed again loses what is written")
            }
        }),
        (State::Ready, 0) => ground.decommit(cells),
        (State::Prepared | State::Ready, 1) => ground.fault(cells),
        _ => ground.release(cells),
    }
}

/// Puts cells 4 to 10 into the states Ready, Prepared, Ready, Ready, Prepared, Prepared.
fn mix<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    ground.make_ready(4..10)?;
    ground.decommit(5..6)?;
    ground.decommit(8..10)
}

/// Fault takes a range that mixes Ready and Prepared, and leaves all of it Reserved.
pub(super) fn fault_takes_a_mix_of_states<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    let before = ground.machine().footprint().table_frames;
    mix(ground)?;
    ground.fault(4..10)?;
    if ground.machine().footprint().table_frames != before {
        return Err("fault of a mix of states leaves page tables");
    }
    ground.prepare(4..10)?;
    ground.commit(4..10)?;
    ground.fill(4..10, 2)?;
    if !ground.holds(4..10, 2)? {
        return Err("after fault of a mix of states, committed memory loses what is written");
    }
    Ok(())
}

/// Release takes a range that mixes all states, and leaves all of it None.
pub(super) fn release_takes_a_mix_of_states<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    let before = ground.machine().footprint().table_frames;
    mix(ground)?;
    ground.fault(6..7)?;
    ground.release(4..10)?;
    if ground.machine().footprint().table_frames != before {
        return Err("release of a mix of states leaves page tables");
    }
    ground.reserve(4..10)
}

/// A call under `Patience::Try` does what it was asked or is Busy, and then changed nothing, so
/// that the same call may follow under `Patience::Wait`.
pub(super) fn a_call_that_must_not_wait_is_done_or_busy<M: Machine>(
    ground: &Ground<'_, M>,
) -> Outcome {
    const OTHER: &str = "a call that must not wait is refused for no reason";
    let cells = 1..3;
    match ground.ask_reserve(cells.clone(), Patience::Try)? {
        Ok(()) => {}
        Err(ReserveError::Busy) => ground.reserve(cells.clone())?,
        Err(_) => return Err(OTHER),
    }
    match ground.ask_prepare(cells.clone(), Patience::Try)? {
        Ok(()) => {}
        Err(PrepareError::Busy) => ground.prepare(cells.clone())?,
        Err(PrepareError::PageTables { .. }) => return Err(OTHER),
    }
    match ground.ask_commit(cells.clone(), Patience::Try)? {
        Ok(_) => {}
        Err(CommitError::Busy) => ground.commit(cells.clone()).map(|_| ())?,
        Err(CommitError::Frames { .. }) => return Err(OTHER),
    }
    ground.fill(cells.clone(), 3)?;
    if ground.ask_decommit(cells.clone(), Patience::Try)?.is_err() {
        if !ground.holds(cells.clone(), 3)? {
            return Err("a decommit that is Busy changes memory");
        }
        ground.decommit(cells.clone())?;
    }
    if ground.ask_fault(cells.clone(), Patience::Try)?.is_err() {
        ground.fault(cells.clone())?;
    }
    if ground.ask_release(cells.clone(), Patience::Try)?.is_err() {
        ground.release(cells)?;
    }
    Ok(())
}

/// Decommit leaves the page tables that prepare made, and no others.
pub(super) fn decommit_keeps_page_tables<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    ground.reserve(0..CELLS)?;
    ground.prepare(0..CELLS)?;
    let prepared = ground.machine().footprint().table_frames;
    ground.commit(0..CELLS)?;
    if ground.machine().footprint().table_frames != prepared {
        return Err("commit changes the number of page tables");
    }
    ground.decommit(0..CELLS)?;
    if ground.machine().footprint().table_frames != prepared {
        return Err("decommit changes the number of page tables");
    }
    Ok(())
}

/// Page tables stay while something in them is Prepared or Ready, and go with the last that is.
pub(super) fn page_tables_go_with_the_last_that_needs_them<M: Machine>(
    ground: &Ground<'_, M>,
) -> Outcome {
    const LEFT: &str = "page tables are left over";
    let tables = || ground.machine().footprint().table_frames;
    let before = tables();
    for _ in 0..3 {
        ground.make_ready(0..CELLS)?;
        ground.fault(0..CELLS)?;
        if tables() != before {
            return Err(LEFT);
        }
        ground.prepare(0..8)?;
        ground.prepare(8..CELLS)?;
        ground.fault(0..8)?;
        // What served the lower half may have served the upper one too.
        ground.commit(8..CELLS)?;
        ground.fill(8..CELLS, 4)?;
        if !ground.holds(8..CELLS, 4)? {
            return Err("memory loses what is written when a neighbour's page tables go");
        }
        ground.release(0..CELLS)?;
        if tables() != before {
            return Err(LEFT);
        }
    }
    Ok(())
}
