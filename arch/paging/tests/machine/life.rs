//! The transitions, one after the other, anywhere in the spaces.

use archipelago_api::{Contents, Footprint, Machine as _, Patience, VirtRange};

use crate::physical::{JUNK, Lower, PAGE, SLOT_BYTES, Space, Upper, Whole, each_page, range};
use crate::source::{Source, machine};

/// Checks that frames allocated, less those given back, are those of Ready pages, tables and
/// held ones.
fn balanced(source: &Source, footprint: Footprint, ready: usize) {
    assert_eq!(
        source.out(),
        ready + footprint.table_frames + footprint.held_frames
    );
}

fn ready_pages(source: &Source, range: VirtRange) -> usize {
    each_page(range)
        .filter(|&page| source.physical.ready(page).is_some())
        .count()
}

/// The slots that serve a range, as one range.
fn served(window: VirtRange) -> VirtRange {
    let last = window.last().expect("not empty").align_down(SLOT_BYTES);
    let base = window.base().align_down(SLOT_BYTES);
    VirtRange::new(base, last.value() - base.value() + SLOT_BYTES).expect("does not wrap")
}

fn live_and_die<S: Space>(window: VirtRange) {
    let source = Source::new(2100);
    let machine = machine::<S>(&source, true);
    let nothing = source.physical.picture();
    machine
        .reserve(window, Patience::Wait)
        .expect("it is empty");
    assert_eq!(source.books().requests, 0, "reserving takes no memory");
    let (low, high) = window.split_at(512 * PAGE).expect("shorter");

    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    let prepared = source.physical.picture();
    balanced(&source, machine.footprint(), 0);
    assert_eq!(source.touch(window), 0);

    // SAFETY: the window is Prepared.
    let contents = unsafe { machine.commit(window, Patience::Wait) };
    assert_eq!(contents, Ok(Contents::Unknown));
    assert_eq!(source.touch(window), window.bytes() / PAGE);
    balanced(&source, machine.footprint(), 1024);

    // SAFETY:
    // - the half is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(low, Patience::Wait) }.expect("waited");
    assert_eq!((source.touch(low), source.touch(high)), (0, 512));
    assert_eq!(source.books().flushes, [low], "once, and no tables went");
    balanced(&source, machine.footprint(), 512);

    // SAFETY:
    // - the half is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(high, Patience::Try) }.expect("no lock is held");
    assert_eq!(source.physical.picture(), prepared);
    // SAFETY: the half is Prepared.
    unsafe { machine.commit(high, Patience::Wait) }.expect("there are frames");
    source.touch(window);
    source.books().flushes.clear();
    // SAFETY:
    // - the window is Prepared below and Ready above;
    // - nothing uses it.
    unsafe { machine.fault(window, Patience::Wait) }.expect("waited");
    assert_eq!(source.physical.picture(), nothing, "the tables went");
    assert_eq!(source.books().flushes, [window, served(window)]);
    assert_eq!(
        (source.out(), machine.footprint()),
        (0, Footprint::default())
    );

    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    unsafe { machine.release(window, Patience::Wait) }.expect("waited");
    machine
        .reserve(window, Patience::Wait)
        .expect("it was released");
}

#[test]
fn a_window_lives_and_dies_at_every_end_of_every_space() {
    for base in [0, 0x7fff_f000, 0x7fc0_0000, 0xffc0_0000, 0x1234_5000] {
        live_and_die::<Whole>(range(base, 1024));
    }
    for base in [0, 0x3ff0_0000, 0x7fc0_0000] {
        live_and_die::<Lower>(range(base, 1024));
    }
    for base in [0xc000_0000, 0xdfff_f000, 0xffc0_0000] {
        live_and_die::<Upper>(range(base, 1024));
    }
}

#[test]
fn release_takes_a_range_that_mixes_every_state() {
    for patience in [Patience::Wait, Patience::Try] {
        let source = Source::new(2048);
        let machine = machine::<Whole>(&source, true);
        let base = 0xffc0_0000 - 300 * PAGE;
        let window = range(base, 1024 + 300);
        machine.reserve(window, patience).expect("it is empty");
        // SAFETY: the part is Reserved.
        unsafe { machine.prepare(range(base + 200 * PAGE, 300), patience) }
            .expect("there are frames");
        // SAFETY: the part is Prepared.
        unsafe { machine.commit(range(base + 250 * PAGE, 150), patience) }
            .expect("there are frames");
        source.touch(window);
        // SAFETY:
        // - the window is reserved;
        // - nothing uses it.
        unsafe { machine.release(window, patience) }.expect("no lock is held");
        assert!(source.physical.picture().is_empty());
        assert_eq!(
            (source.out(), machine.footprint()),
            (0, Footprint::default())
        );
    }
}

#[test]
fn a_table_goes_with_the_last_page_that_it_serves_and_is_then_remembered_nowhere() {
    let source = Source::new(64);
    let machine = machine::<Whole>(&source, true);
    // In the first and the last quarter of a slot, each of which a CPU remembers by itself.
    let (low, high) = (range(0x4000_0000, 4), range(0x403f_c000, 4));
    for part in [low, high] {
        machine.reserve(part, Patience::Wait).expect("it is empty");
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
        (ready_pages(&source, high), machine.footprint().table_frames),
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
    machine
        .reserve(window, Patience::Wait)
        .expect("it is empty");
    for round in 0..3 {
        // SAFETY: the window is Reserved.
        unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
        // SAFETY: the window is Prepared.
        unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
        balanced(&source, machine.footprint(), 600);
        assert_eq!(machine.footprint().held_frames, 0);
        source.touch(window);
        // SAFETY:
        // - the window is Ready;
        // - nothing uses it.
        unsafe { machine.decommit(window, Patience::Wait) }.expect("waited");
        assert_eq!(machine.footprint().held_frames, 600);
        // SAFETY:
        // - the window is Prepared;
        // - nothing uses it.
        unsafe { machine.fault(window, Patience::Wait) }.expect("waited");
        let footprint = machine.footprint();
        assert_eq!((footprint.table_frames, footprint.held_frames), (0, 602));
        assert_eq!(
            (source.out(), source.books().requests),
            (602, 602),
            "round {round}"
        );
    }
}

#[test]
fn memory_is_known_to_be_zero_only_straight_from_a_source_that_says_so() {
    let source = Source::new(64);
    source.books().filling = 0;
    // SAFETY: the source fills every frame with zero before it hands it out.
    let machine = unsafe { machine::<Whole>(&source, false).zeroed() };
    let window = range(0x4000_0000, 8);
    machine
        .reserve(window, Patience::Wait)
        .expect("it is empty");
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    // SAFETY: the window is Prepared.
    let first = unsafe { machine.commit(window, Patience::Wait) };
    assert_eq!(first, Ok(Contents::Zeroed));
    for page in each_page(window) {
        let frame = source.physical.ready(page).expect("it is Ready");
        source.physical.fill(frame, JUNK);
    }
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(window, Patience::Wait) }.expect("waited");
    // SAFETY: the window is Prepared.
    let again = unsafe { machine.commit(window, Patience::Wait) };
    assert_eq!(again, Ok(Contents::Unknown), "these were used before");
}
