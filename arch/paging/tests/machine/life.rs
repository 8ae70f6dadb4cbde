//! The transitions, one after the other, anywhere in the spaces.

use archipelago_api::{CommitError, Machine as _, Patience, VirtRange};
use archipelago_paging_testing::life;

use crate::physical::{Lower, PAGE, SLOT_BYTES, Space, Upper, Whole, range};
use crate::source::{Source, machine};

/// The slots that serve a range, as one range.
fn served(window: VirtRange) -> VirtRange {
    let last = window.last().expect("not empty").align_down(SLOT_BYTES);
    let base = window.base().align_down(SLOT_BYTES);
    VirtRange::new(base, last.value() - base.value() + SLOT_BYTES).expect("does not wrap")
}

fn live_and_die<S: Space>(base: usize) {
    let source = Source::new(2100);
    let machine = machine::<S>(&source, true);
    let window = range(base, 1024);
    let flushes = life::live_and_die(&source, &machine, window);
    assert_eq!(flushes, [window, served(window)]);
}

#[test]
fn a_window_lives_and_dies_at_every_end_of_every_space() {
    for base in [0, 0x7fff_f000, 0x7fc0_0000, 0xffc0_0000, 0x1234_5000] {
        live_and_die::<Whole>(base);
    }
    for base in [0, 0x3ff0_0000, 0x7fc0_0000] {
        live_and_die::<Lower>(base);
    }
    for base in [0xc000_0000, 0xdfff_f000, 0xffc0_0000] {
        live_and_die::<Upper>(base);
    }
}

#[test]
fn release_takes_a_range_that_mixes_every_state() {
    for patience in [Patience::Wait, Patience::Try] {
        let source = Source::new(2048);
        let machine = machine::<Whole>(&source, true);
        let base = 0xffc0_0000 - 300 * PAGE;
        let parts = [
            range(base, 1024 + 300),
            range(base + 200 * PAGE, 300),
            range(base + 250 * PAGE, 150),
        ];
        life::release_of_every_state(&source, &machine, parts, patience);
    }
}

#[test]
fn a_table_goes_with_the_last_page_that_it_serves_and_is_then_remembered_nowhere() {
    let source = Source::new(64);
    let machine = machine::<Whole>(&source, true);
    // In the first and the last quarter of a slot, each of which a CPU remembers by itself.
    let (low, high) = (range(0x4000_0000, 4), range(0x403f_c000, 4));
    for part in [low, high] {
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(part, Patience::Wait) }.expect("it is empty");
        // SAFETY: the part is Reserved.
        unsafe { machine.prepare(part, Patience::Wait) }.expect("there are frames");
        // SAFETY: the part is Prepared.
        unsafe { machine.commit(part, Patience::Wait) }.expect("there are frames");
        source.touch(part);
    }
    assert_eq!(machine.footprint().table_frames, 1);
    // SAFETY:
    // - the part is Ready;
    // - nothing uses it.
    unsafe { machine.fault(low, Patience::Wait) }.expect("waited");
    source.touch(low);
    assert_eq!(
        (
            life::ready_pages(&source, high),
            machine.footprint().table_frames
        ),
        (4, 1)
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
    let machine = machine::<Whole>(&source, false);
    let window = range(0xff80_0000 - 300 * PAGE, 600);
    life::held_frames_are_used_first(&source, &machine, window, 2);
}

#[test]
fn frames_come_back_in_their_order_held_or_given_back() {
    for returning in [true, false] {
        let source = Source::new(2048);
        let machine = machine::<Whole>(&source, returning);
        let window = range(0xff80_0000 - 300 * PAGE, 600);
        life::frames_come_back_in_their_order(&source, &machine, window, 250);
    }
}

#[test]
fn adjacent_frames_are_a_request_of_their_own() {
    for returning in [true, false] {
        let source = Source::new(2048);
        let machine = machine::<Whole>(&source, returning);
        let window = range(0xff80_0000 - 300 * PAGE, 600);
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
    let machine = unsafe { machine::<Whole>(&source, false).zeroed() };
    life::only_new_frames_are_known_to_be_zero(&source, &machine, range(0x4000_0000, 8));
}
