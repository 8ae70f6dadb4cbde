//! Rules about the states and the page tables.

use core::ops::Range;

use archipelago_api::{
    CommitError, Machine, Offset, Patience, PrepareError, ReserveError, VirtRange,
};

use crate::fixture::{CELLS, Fixture, State};
use crate::subject::Outcome;

/// Reserve takes exactly its range, and neither a granule more nor one less.
pub(crate) fn reserve_takes_exactly_its_range<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    fixture.reserve(4..8)?;
    fixture.reserve(3..4)?;
    fixture.reserve(8..9)?;
    fixture.release(4..8)?;
    fixture.reserve(5..7)?;
    fixture.reserve(4..5)?;
    fixture.reserve(7..8)?;
    fixture.release(3..4)?;
    fixture.reserve(0..4)?;
    fixture.reserve(9..CELLS)
}

/// Reserve refuses a range that is taken, in whole or in part, and takes nothing of it.
pub(crate) fn reserve_refuses_what_overlaps<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    fixture.make_ready(4..8)?;
    fixture.fill(4..8, 1)?;
    for overlapping in [4..8, 3..5, 7..9, 5..6, 3..9] {
        let range = fixture.range(overlapping)?;
        match fixture.call_reserve(range, Patience::Wait) {
            Ok(()) => return Err("reserve takes a range that is taken already"),
            Err(ReserveError::Occupied { occupied }) if occupied.overlaps(range) => {}
            Err(_) => return Err("a refused reserve does not name the part that is occupied"),
        }
    }
    if !fixture.holds(4..8, 1)? {
        return Err("a refused reserve changes memory");
    }
    fixture.reserve(3..4)?;
    fixture.reserve(8..9)
}

/// Reserve refuses a range beyond the address space.
pub(crate) fn reserve_refuses_what_lies_outside<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
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
    match fixture.call_reserve(outside, Patience::Wait) {
        Err(ReserveError::Outside { range }) if range == outside => Ok(()),
        _ => Err("reserve does not refuse a range outside the address space"),
    }
}

/// Each call that the contract allows succeeds, in every order of six calls after reserve.
pub(crate) fn every_path_through_the_states_is_open<M: Machine>(
    fixture: &Fixture<'_, M>,
) -> Outcome {
    /// Each call chooses one of at most three.
    const PATHS: usize = 729;
    /// Miri takes a sample, with a step that is prime to the number of choices.
    const STEP: usize = if cfg!(miri) { 40 } else { 1 };
    for path in (0..PATHS).step_by(STEP) {
        fixture.reserve(2..4)?;
        let mut choices = path;
        for _ in 0..6 {
            step(fixture, 2..4, choices % 3)?;
            choices /= 3;
        }
        fixture.clear()?;
    }
    Ok(())
}

/// Takes one of the steps that the contract allows from the state of the cells.
fn step<M: Machine>(fixture: &Fixture<'_, M>, cells: Range<usize>, choice: usize) -> Outcome {
    match (fixture.state(cells.start), choice) {
        (State::None, _) => fixture.reserve(cells),
        (State::Reserved, 0 | 1) => fixture.prepare(cells),
        (State::Prepared, 0) => fixture.commit(cells.clone()).and_then(|_| {
            fixture.fill(cells.clone(), 9)?;
            if fixture.holds(cells, 9)? {
                Ok(())
            } else {
                Err("memory that was committed again loses what is written")
            }
        }),
        (State::Ready, 0) => fixture.decommit(cells),
        (State::Prepared | State::Ready, 1) => fixture.fault(cells),
        _ => fixture.release(cells),
    }
}

/// Puts cells 4 to 10 into the states Ready, Prepared, Ready, Ready, Prepared, Prepared.
fn mix<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    fixture.make_ready(4..10)?;
    fixture.decommit(5..6)?;
    fixture.decommit(8..10)
}

/// Fault takes a range that mixes Ready and Prepared, and leaves all of it Reserved.
pub(crate) fn fault_takes_a_mix_of_states<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    let before = fixture.machine().footprint().table_frames;
    mix(fixture)?;
    fixture.fault(4..10)?;
    if fixture.machine().footprint().table_frames != before {
        return Err("fault of a mix of states leaves page tables");
    }
    fixture.prepare(4..10)?;
    fixture.commit(4..10)?;
    fixture.fill(4..10, 2)?;
    if !fixture.holds(4..10, 2)? {
        return Err("after fault of a mix of states, committed memory loses what is written");
    }
    Ok(())
}

/// Release takes a range that mixes all states, and leaves all of it None.
pub(crate) fn release_takes_a_mix_of_states<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    let before = fixture.machine().footprint().table_frames;
    mix(fixture)?;
    fixture.fault(6..7)?;
    fixture.release(4..10)?;
    if fixture.machine().footprint().table_frames != before {
        return Err("release of a mix of states leaves page tables");
    }
    fixture.reserve(4..10)
}

/// A call under `Patience::Try` succeeds, or it is Busy and changes nothing, so that the same call
/// may follow under `Patience::Wait`.
pub(crate) fn a_call_that_must_not_wait_is_done_or_busy<M: Machine>(
    fixture: &Fixture<'_, M>,
) -> Outcome {
    const OTHER: &str = "a call that must not wait is refused for no reason";
    let cells = 1..3;
    match fixture.ask_reserve(cells.clone(), Patience::Try)? {
        Ok(()) => {}
        Err(ReserveError::Busy) => fixture.reserve(cells.clone())?,
        Err(_) => return Err(OTHER),
    }
    match fixture.ask_prepare(cells.clone(), Patience::Try)? {
        Ok(()) => {}
        Err(PrepareError::Busy) => fixture.prepare(cells.clone())?,
        Err(_) => return Err(OTHER),
    }
    match fixture.ask_commit(cells.clone(), Patience::Try)? {
        Ok(_) => {}
        Err(CommitError::Busy) => fixture.commit(cells.clone()).map(|_| ())?,
        Err(_) => return Err(OTHER),
    }
    fixture.fill(cells.clone(), 3)?;
    if fixture.ask_decommit(cells.clone(), Patience::Try)?.is_err() {
        if !fixture.holds(cells.clone(), 3)? {
            return Err("a decommit that is Busy changes memory");
        }
        fixture.decommit(cells.clone())?;
    }
    if fixture.ask_fault(cells.clone(), Patience::Try)?.is_err() {
        fixture.fault(cells.clone())?;
    }
    if fixture.ask_release(cells.clone(), Patience::Try)?.is_err() {
        fixture.release(cells)?;
    }
    Ok(())
}

/// Decommit leaves the page tables that prepare made, and no others.
pub(crate) fn decommit_keeps_page_tables<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    fixture.reserve(0..CELLS)?;
    fixture.prepare(0..CELLS)?;
    let prepared = fixture.machine().footprint().table_frames;
    fixture.commit(0..CELLS)?;
    if fixture.machine().footprint().table_frames != prepared {
        return Err("commit changes the number of page tables");
    }
    fixture.decommit(0..CELLS)?;
    if fixture.machine().footprint().table_frames != prepared {
        return Err("decommit changes the number of page tables");
    }
    Ok(())
}

/// Page tables stay while something in them is Prepared or Ready, and go with the last page that
/// is.
pub(crate) fn page_tables_go_with_the_last_that_needs_them<M: Machine>(
    fixture: &Fixture<'_, M>,
) -> Outcome {
    const LEFT: &str = "page tables are left over";
    let tables = || fixture.machine().footprint().table_frames;
    let before = tables();
    for _ in 0..3 {
        fixture.make_ready(0..CELLS)?;
        fixture.fault(0..CELLS)?;
        if tables() != before {
            return Err(LEFT);
        }
        fixture.prepare(0..8)?;
        fixture.prepare(8..CELLS)?;
        fixture.fault(0..8)?;
        // A table that served the lower half may have served the upper one too.
        fixture.commit(8..CELLS)?;
        fixture.fill(8..CELLS, 4)?;
        if !fixture.holds(8..CELLS, 4)? {
            return Err("memory loses what is written when a neighbour's page tables go");
        }
        fixture.release(0..CELLS)?;
        if tables() != before {
            return Err(LEFT);
        }
    }
    Ok(())
}
