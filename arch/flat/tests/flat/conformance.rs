//! A machine without an MMU keeps the contract, whatever its regions are like.

use crate::common::Block;
use archipelago_api::{Geometry, Machine, VirtAddr, VirtRange};
use archipelago_flat::{Flat, Region, Shape, Small};

/// Bits of the host's addresses.
const HOST_BITS: u32 = if usize::BITS == 32 { 32 } else { 48 };

archipelago_flat::shape! {
    /// Any address of the host's.
    Wide = Geometry { base: 0, ..Geometry::small(HOST_BITS, 10) }
}

/// A machine over a block of 40 granules that begins and ends inside of one, and a window of 21.
fn made<S: Shape>(zeroed: bool) -> (Flat<S>, VirtRange) {
    let granule = S::GEOMETRY.granule_bytes();
    let block = Block::new(40 * granule, granule + 24);
    let mut region = Region::new(block.start(), block.bytes());
    if zeroed {
        // SAFETY: blocks are zeroed.
        region = unsafe { region.zeroed() };
    }
    // SAFETY:
    // - the block can be read and written;
    // - only the machine uses it, and the heap that the machine is given to;
    // - the regions are parts of one block.
    let machine = unsafe { Flat::<S>::new(&[region], &[]) }.expect("a good region");
    let (all, _) = machine.windows().next().expect("one region");
    let base = all.base().checked_add(3 * granule);
    let window = base.and_then(|base| VirtRange::new(base, 21 * granule));
    block.keep();
    (machine, window.expect("inside"))
}

archipelago_conformance::conformance!(pages_of_256, made::<Small<21, 8>>(false));
archipelago_conformance::conformance!(pages_of_512, made::<Small<17, 9>>(true));
archipelago_conformance::conformance!(pages_of_1024, made::<Small>(false));
archipelago_conformance::conformance!(zeroed, made::<Small>(true));
archipelago_conformance::conformance!(wide, made::<Wide>(true));

/// Two regions that touch, given in the wrong order, are one piece.
fn touching() -> (Flat<Small>, VirtRange) {
    let block = Block::new(40 << 10, 0);
    let middle = (10 << 10) + 5;
    let above = block.start().wrapping_add(middle);
    let regions = [
        Region::new(above, block.bytes() - middle),
        Region::new(block.start(), middle),
    ];
    // SAFETY:
    // - the block can be read and written;
    // - only the machine uses it, and the heap that the machine is given to;
    // - the regions are parts of one block.
    let machine = unsafe { Flat::<Small>::new(&regions, &[]) }.expect("good regions");
    let windows: Vec<_> = machine.windows().collect();
    assert_eq!(windows.len(), 1, "they are joined");
    let window = VirtRange::new(windows[0].0.base(), 21 << 10).expect("inside");
    block.keep();
    (machine, window)
}

archipelago_conformance::conformance!(touching_regions, touching());

#[test]
fn addresses_are_those_of_the_memory_where_it_lies_in_the_space_and_are_never_zero() {
    let (machine, window) = made::<Wide>(false);
    assert_eq!(machine.slide(), 0);
    assert_eq!(
        machine.pointer(window.base()).addr().get(),
        window.base().value()
    );
    let (machine, window) = made::<Small<17, 8>>(false);
    let half = 1 << 16;
    let place = machine.pointer(window.base()).addr().get();
    assert_eq!(place % half, window.base().value() % half);
    assert_eq!(place, window.base().value().wrapping_add(machine.slide()));
    assert_eq!(machine.address(core::ptr::NonNull::dangling()), None);
    assert_eq!(Small::<17, 8>::GEOMETRY.offset(VirtAddr::new(0)), None);
}

#[test]
fn what_is_given_up_for_the_states_is_counted() {
    // A block of whole granules has nothing left over for them.
    let block = Block::new(32 << 10, 0);
    let region = Region::new(block.start(), block.bytes());
    // SAFETY:
    // - the block can be read and written;
    // - only the machine uses it, and the heap that the machine is given to;
    // - the regions are parts of one block.
    let machine = unsafe { Flat::<Small>::new(&[region], &[]) }.expect("a good region");
    assert_eq!(machine.footprint().table_frames, 1);
    let (all, _) = machine.windows().next().expect("one region");
    assert_eq!(all.bytes(), 31 << 10);
    assert_eq!(machine.bookkeeping(), 8);
    // One of a few bytes more has.
    let block = Block::new((32 << 10) + 8, 0);
    let region = Region::new(block.start(), block.bytes());
    // SAFETY:
    // - the block can be read and written;
    // - only the machine uses it, and the heap that the machine is given to;
    // - the regions are parts of one block.
    let machine = unsafe { Flat::<Small>::new(&[region], &[]) }.expect("a good region");
    assert_eq!(machine.footprint().table_frames, 0);
    let (all, _) = machine.windows().next().expect("one region");
    assert_eq!(all.bytes(), 32 << 10);
}
