//! Rules about pointers and addresses.

use core::ptr::{self, NonNull};

use archipelago_api::{Machine, VirtAddr};

use crate::fixture::{CELLS, Fixture};
use crate::subject::Outcome;

/// The first and the last address of the window, those beside a cell's end, and one inside.
fn addresses<M: Machine>(fixture: &Fixture<'_, M>) -> Result<[VirtAddr; 5], &'static str> {
    const SUITE: &str = "a window is never empty";
    let window = fixture.window();
    let below = fixture.range(0..8)?.last().ok_or(SUITE)?;
    let above = fixture.range(8..CELLS)?.base();
    let inside = above.checked_add(1).ok_or(SUITE)?;
    Ok([
        window.base(),
        below,
        above,
        inside,
        window.last().ok_or(SUITE)?,
    ])
}

/// `address` is the inverse of `pointer`, at both ends of the window and in every state.
pub(crate) fn pointer_and_address_are_inverse<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    let check = || {
        for addr in addresses(fixture)? {
            if fixture.machine().address(fixture.machine().pointer(addr)) != Some(addr) {
                return Err("the address of a pointer is not the one that it was made from");
            }
        }
        Ok(())
    };
    fixture.reserve(0..CELLS)?;
    check()?;
    fixture.prepare(0..CELLS)?;
    check()?;
    fixture.commit(0..CELLS)?;
    check()?;
    fixture.decommit(0..8)?;
    check()
}

/// Pointers lie as far apart as their addresses, so that a window is one piece of memory.
pub(crate) fn neighbouring_addresses_have_neighbouring_pointers<M: Machine>(
    fixture: &Fixture<'_, M>,
) -> Outcome {
    fixture.reserve(0..CELLS)?;
    let base = fixture.window().base();
    let first = fixture.machine().pointer(base).addr().get();
    for addr in addresses(fixture)? {
        let above = addr.bytes_above(base);
        let pointer = fixture.machine().pointer(addr).addr().get();
        if pointer.checked_sub(first) != above {
            return Err("pointers do not lie as far apart as their addresses");
        }
    }
    Ok(())
}

/// `address` takes any pointer whatsoever, and returns addresses of the space alone.
pub(crate) fn any_pointer_may_be_asked_about<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    fixture.reserve(4..8)?;
    let middle = usize::MAX.wrapping_shr(1);
    for value in [1, 0xFFF, 0x1000, middle, middle.wrapping_add(1), usize::MAX] {
        let Some(pointer) = NonNull::new(ptr::without_provenance_mut::<u8>(value)) else {
            continue;
        };
        if let Some(addr) = fixture.machine().address(pointer) {
            if M::GEOMETRY.offset(addr).is_none() {
                return Err("a pointer has an address outside the address space");
            }
        }
    }
    Ok(())
}

/// Windows that were reserved apart and touch are one piece: a range reaches from one into the
/// next, and so does an object, whose bytes all belong to the pointer to its first.
pub(crate) fn adjacent_windows_are_one_piece<M: Machine>(fixture: &Fixture<'_, M>) -> Outcome {
    // The upper window first, so that a machine cannot just append to an earlier one.
    fixture.reserve(8..CELLS)?;
    fixture.reserve(0..8)?;
    fixture.prepare(4..12)?;
    fixture.commit(4..12)?;
    let (low, high) = (fixture.range(4..8)?.base(), fixture.range(8..12)?.base());
    let first = fixture.machine().pointer(low).addr().get();
    let above = fixture.machine().pointer(high).addr().get();
    if above.checked_sub(first) != high.bytes_above(low) {
        return Err("adjacent windows are not one piece of memory");
    }
    fixture.fill_as_one(4..12, 11)?;
    if !fixture.holds(4..12, 11)? {
        return Err("an object that reaches into the next window loses what is written");
    }
    fixture.decommit(6..10)?;
    if !fixture.holds(4..6, 11)? || !fixture.holds(10..12, 11)? {
        return Err("a decommit over two windows changes memory beside it");
    }
    fixture.fault(4..12)?;
    fixture.release(0..CELLS)
}
