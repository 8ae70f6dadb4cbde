//! Rules about pointers and addresses.

use core::ptr::{self, NonNull};

use super::Outcome;
use super::ground::{CELLS, Ground};
use crate::{Machine, VirtAddr};

/// The first and the last address of the window, those beside a cell's end, and one inside.
fn addresses<M: Machine>(ground: &Ground<'_, M>) -> Result<[VirtAddr; 5], &'static str> {
    const SUITE: &str = "a window is never empty";
    let window = ground.window();
    let below = ground.range(0..8)?.last().ok_or(SUITE)?;
    let above = ground.range(8..CELLS)?.base();
    let inside = above.checked_add(1).ok_or(SUITE)?;
    Ok([
        window.base(),
        below,
        above,
        inside,
        window.last().ok_or(SUITE)?,
    ])
}

/// `address` takes back what `pointer` answered, at both ends of the window and in every state.
pub(super) fn pointer_and_address_are_inverse<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    let check = || {
        for addr in addresses(ground)? {
            if ground.machine().address(ground.machine().pointer(addr)) != Some(addr) {
                return Err("the address of a pointer is not the one that it was made from");
            }
        }
        Ok(())
    };
    ground.reserve(0..CELLS)?;
    check()?;
    ground.prepare(0..CELLS)?;
    check()?;
    ground.commit(0..CELLS)?;
    check()?;
    ground.decommit(0..8)?;
    check()
}

/// Pointers lie as far apart as their addresses, so that a window is one piece of memory.
pub(super) fn neighbouring_addresses_have_neighbouring_pointers<M: Machine>(
    ground: &Ground<'_, M>,
) -> Outcome {
    ground.reserve(0..CELLS)?;
    let base = ground.window().base();
    let first = ground.machine().pointer(base).addr().get();
    for addr in addresses(ground)? {
        let above = addr.bytes_above(base);
        let pointer = ground.machine().pointer(addr).addr().get();
        if pointer.checked_sub(first) != above {
            return Err("pointers do not lie as far apart as their addresses");
        }
    }
    Ok(())
}

/// Any pointer whatsoever may be asked about, and what it is told is an address of the space.
pub(super) fn any_pointer_may_be_asked_about<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    ground.reserve(4..8)?;
    let middle = usize::MAX.wrapping_shr(1);
    for value in [1, 0xFFF, 0x1000, middle, middle.wrapping_add(1), usize::MAX] {
        let Some(pointer) = NonNull::new(ptr::without_provenance_mut::<u8>(value)) else {
            continue;
        };
        if let Some(addr) = ground.machine().address(pointer) {
            if M::GEOMETRY.offset(addr).is_none() {
                return Err("a pointer has an address outside the address space");
            }
        }
    }
    Ok(())
}

/// Windows that were reserved apart and touch are one piece: a range reaches from one into the
/// next, and so does an object, whose bytes all belong to the pointer to its first.
pub(super) fn adjacent_windows_are_one_piece<M: Machine>(ground: &Ground<'_, M>) -> Outcome {
    // The upper window first, so that a machine cannot just append to what it has.
    ground.reserve(8..CELLS)?;
    ground.reserve(0..8)?;
    ground.prepare(4..12)?;
    ground.commit(4..12)?;
    let (low, high) = (ground.range(4..8)?.base(), ground.range(8..12)?.base());
    let first = ground.machine().pointer(low).addr().get();
    let above = ground.machine().pointer(high).addr().get();
    if above.checked_sub(first) != high.bytes_above(low) {
        return Err("adjacent windows are not one piece of memory");
    }
    ground.fill_as_one(4..12, 11)?;
    if !ground.holds(4..12, 11)? {
        return Err("an object that reaches into the next window loses what is written");
    }
    ground.decommit(6..10)?;
    if !ground.holds(4..6, 11)? || !ground.holds(10..12, 11)? {
        return Err("a decommit over two windows changes memory beside it");
    }
    ground.fault(4..12)?;
    ground.release(0..CELLS)
}
