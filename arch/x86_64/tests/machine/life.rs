//! The transitions, one after the other, anywhere in the space.

use archipelago_api::{CommitError, Machine as _, Patience, VirtRange};
use archipelago_paging_testing::life;
use x86_64::structures::paging::OffsetPageTable;

use crate::physical::{Mapped, Over, PAGE, Source, machine, range};

const BOTTOM_OF_UPPER_HALF: usize = 0xffff_8000_0000_0000;
const TOP: usize = 0usize.wrapping_sub(4 << 20);

/// Windows of 1024 pages: within one 2 MiB stretch or across two, at every end of both halves.
fn windows() -> [VirtRange; 6] {
    [
        range(0, 1024),
        range(0x4444_4444_0000, 1024),
        range(0x7fff_ffc0_0000, 1024),
        range(BOTTOM_OF_UPPER_HALF, 1024),
        range(0xffff_c07f_ffe0_0000, 1024),
        range(TOP, 1024),
    ]
}

fn live_and_die<P: Over>(window: VirtRange) {
    let source = Source::new(2048);
    let machine = machine::<P>(&source, true);
    life::live_and_die(&source, &machine, window);
}

#[test]
fn a_window_lives_and_dies_in_either_half_and_at_every_end() {
    for window in windows() {
        live_and_die::<Mapped>(window);
        live_and_die::<OffsetPageTable<'static>>(window);
    }
}

#[test]
fn release_takes_a_range_that_mixes_every_state() {
    for patience in [Patience::Wait, Patience::Try] {
        let source = Source::new(2048);
        let machine = machine::<Mapped>(&source, true);
        let parts = [
            range(TOP, 1024),
            range(TOP + 300 * PAGE, 300),
            range(TOP + 400 * PAGE, 150),
        ];
        life::release_of_every_state(&source, &machine, parts, patience);
    }
}

#[test]
fn a_table_stays_until_the_last_range_that_it_serves_is_gone() {
    let source = Source::new(256);
    let machine = machine::<Mapped>(&source, true);
    let (low, high) = (range(0x4444_4444_0000, 4), range(0x4444_4444_4000, 4));
    for part in [low, high] {
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(part, Patience::Wait) }.expect("it is empty");
        // SAFETY: the part is Reserved.
        unsafe { machine.prepare(part, Patience::Wait) }.expect("there are frames");
    }
    assert_eq!(machine.footprint().table_frames, 3);
    // SAFETY: the part is Prepared.
    unsafe { machine.commit(high, Patience::Wait) }.expect("there are frames");
    // SAFETY:
    // - the part is Prepared;
    // - nothing uses it.
    unsafe { machine.fault(low, Patience::Wait) }.expect("waited");
    assert_eq!(
        (
            life::ready_pages(&source, high),
            machine.footprint().table_frames
        ),
        (4, 3)
    );
    // SAFETY:
    // - the part is Ready;
    // - nothing uses it.
    unsafe { machine.fault(high, Patience::Wait) }.expect("waited");
    assert_eq!((source.out(), machine.footprint().table_frames), (0, 0));
}

#[test]
fn a_source_that_takes_nothing_back_has_its_frames_held_and_used_first() {
    let source = Source::new(2048);
    let machine = machine::<Mapped>(&source, false);
    let window = range(BOTTOM_OF_UPPER_HALF, 600);
    life::held_frames_are_used_first(&source, &machine, window, 4);
}

#[test]
fn frames_come_back_in_their_order_held_or_given_back() {
    for returning in [true, false] {
        let source = Source::new(2048);
        let machine = machine::<Mapped>(&source, returning);
        let window = range(BOTTOM_OF_UPPER_HALF + 300 * PAGE, 600);
        life::frames_come_back_in_their_order(&source, &machine, window, 250);
    }
}

#[test]
fn adjacent_frames_are_a_request_of_their_own() {
    for returning in [true, false] {
        let source = Source::new(2048);
        let machine = machine::<Mapped>(&source, returning);
        let window = range(BOTTOM_OF_UPPER_HALF + 300 * PAGE, 600);
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
        // SAFETY: the window is Reserved.
        unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
        // SAFETY: the window is Prepared.
        let refused = unsafe { machine.commit_adjacent(window, PAGE, Patience::Wait) };
        assert_eq!(refused, Err(CommitError::Adjacent { needed: 600 }));
        life::adjacent_frames_are_adjacent(&source, &machine.adjacent(), window);
    }
}

#[test]
fn memory_is_known_to_be_zero_only_straight_from_a_source_that_says_so() {
    let source = Source::new(64);
    source.books().filling = 0;
    // SAFETY: the source fills every frame with zero before it hands it out.
    let machine = unsafe { machine::<Mapped>(&source, false).zeroed() };
    life::only_new_frames_are_known_to_be_zero(&source, &machine, range(0x4444_4444_0000, 8));
}

#[test]
fn addresses_and_pointers_are_the_same_number_and_the_hole_has_none() {
    use archipelago_api::VirtAddr;
    use core::ptr::{self, NonNull};

    let source = Source::new(8);
    let machine = machine::<Mapped>(&source, true);
    for value in [1, 0x4444_4444_0000, BOTTOM_OF_UPPER_HALF, usize::MAX] {
        let addr = VirtAddr::new(value);
        assert_eq!(machine.pointer(addr).addr().get(), value);
        assert_eq!(machine.address(machine.pointer(addr)), Some(addr));
    }
    for hole in [0x8000_0000_0000, BOTTOM_OF_UPPER_HALF - 1] {
        let pointer = NonNull::new(ptr::without_provenance_mut(hole)).expect("not 0");
        assert_eq!(machine.address(pointer), None);
    }
}
