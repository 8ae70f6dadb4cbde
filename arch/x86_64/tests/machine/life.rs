//! The transitions, one after the other, anywhere in the space.

use archipelago_api::{Contents, Footprint, Machine as _, Patience, VirtRange};
use x86_64::structures::paging::OffsetPageTable;

use crate::physical::{JUNK, Mapped, Over, PAGE, Source, each_page, machine, range};

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

fn ready_pages(source: &Source, range: VirtRange) -> usize {
    each_page(range)
        .filter(|&page| source.physical.ready(page).is_some())
        .count()
}

/// Checks that frames allocated, less those given back, are those of Ready pages, tables and
/// held ones.
fn balanced(source: &Source, footprint: Footprint, ready: usize) {
    assert_eq!(
        source.out(),
        ready + footprint.table_frames + footprint.held_frames
    );
}

fn live_and_die<P: Over>(window: VirtRange) {
    let source = Source::new(2048);
    let machine = machine::<P>(&source, true);
    let nothing = source.physical.picture();
    machine
        .reserve(window, Patience::Wait)
        .expect("it is empty");
    assert_eq!(source.books().requests, 0, "reserving takes no memory");
    let (low, high) = window.split_at(window.bytes() / 2).expect("shorter");

    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    let prepared = source.physical.picture();
    assert_eq!(ready_pages(&source, window), 0);
    balanced(&source, machine.footprint(), 0);

    // SAFETY: the window is Prepared.
    let contents = unsafe { machine.commit(window, Patience::Wait) };
    assert_eq!(contents, Ok(Contents::Unknown));
    assert_eq!(ready_pages(&source, window), window.bytes() / PAGE);
    balanced(&source, machine.footprint(), 1024);
    source.touch(window);

    // SAFETY:
    // - the half is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(low, Patience::Wait) }.expect("waited");
    assert_eq!(
        (ready_pages(&source, low), ready_pages(&source, high)),
        (0, 512)
    );
    assert_eq!(
        source.books().flushes,
        [low],
        "one flush for the range, no tables went"
    );
    balanced(&source, machine.footprint(), 512);

    // SAFETY:
    // - the half is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(high, Patience::Try) }.expect("no lock is held");
    assert_eq!(source.physical.picture(), prepared);

    // SAFETY: the half is Prepared.
    unsafe { machine.commit(high, Patience::Wait) }.expect("there are frames");
    source.touch(window);
    // SAFETY:
    // - the window is Prepared below and Ready above;
    // - nothing uses it.
    unsafe { machine.fault(window, Patience::Wait) }.expect("waited");
    assert_eq!(source.physical.picture(), nothing, "the tables went");
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
        let window = range(TOP, 1024);
        machine.reserve(window, patience).expect("it is empty");
        // SAFETY: the part is Reserved.
        unsafe { machine.prepare(range(TOP + 300 * PAGE, 300), patience) }
            .expect("there are frames");
        // SAFETY: the part is Prepared.
        unsafe { machine.commit(range(TOP + 400 * PAGE, 150), patience) }
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
fn a_table_stays_until_the_last_range_that_it_serves_is_gone() {
    let source = Source::new(256);
    let machine = machine::<Mapped>(&source, true);
    let (low, high) = (range(0x4444_4444_0000, 4), range(0x4444_4444_4000, 4));
    for part in [low, high] {
        machine.reserve(part, Patience::Wait).expect("it is empty");
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
        (ready_pages(&source, high), machine.footprint().table_frames),
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
    machine
        .reserve(window, Patience::Wait)
        .expect("it is empty");
    for round in 0..3 {
        // SAFETY: the window is Reserved.
        unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
        // SAFETY: the window is Prepared.
        unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
        assert_eq!(
            machine.footprint(),
            Footprint {
                table_frames: 4,
                held_frames: 0
            }
        );
        source.touch(window);
        // SAFETY:
        // - the window is Ready;
        // - nothing uses it.
        unsafe { machine.decommit(window, Patience::Wait) }.expect("waited");
        assert_eq!(
            machine.footprint(),
            Footprint {
                table_frames: 4,
                held_frames: 600
            }
        );
        // SAFETY:
        // - the window is Prepared;
        // - nothing uses it.
        unsafe { machine.fault(window, Patience::Wait) }.expect("waited");
        assert_eq!(
            machine.footprint(),
            Footprint {
                table_frames: 0,
                held_frames: 604
            }
        );
        assert_eq!(
            (source.out(), source.books().requests),
            (604, 604),
            "round {round}"
        );
    }
}

#[test]
fn memory_is_known_to_be_zero_only_straight_from_a_source_that_says_so() {
    let source = Source::new(64);
    source.books().filling = 0;
    // SAFETY: the source fills every frame with zero before it hands it out.
    let machine = unsafe { machine::<Mapped>(&source, false).zeroed() };
    let window = range(0x4444_4444_0000, 8);
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
        assert!(source.physical.holds(frame, 0), "{page} was written to");
        source.physical.fill(frame, JUNK);
    }
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(window, Patience::Wait) }.expect("waited");
    // SAFETY: the window is Prepared.
    let again = unsafe { machine.commit(window, Patience::Wait) };
    assert_eq!(
        again,
        Ok(Contents::Unknown),
        "these frames were used before"
    );
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
