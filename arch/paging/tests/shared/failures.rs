//! The n-th request for a frame fails, for every n, once and from then on. The tests of every
//! machine with page tables share these.

use archipelago_api::{CommitError, Footprint, Machine as _, Patience, PrepareError, VirtRange};
use archipelago_paging_testing::Walked as _;

use crate::subject::{Machine, PAGE, ROOT_FRAMES, Source, machine, range};

/// A window over the ends of tables: its first address, its pages, the tables that they need.
const WINDOW: usize = crate::subject::OVER_TABLES.0;
const PAGES: usize = crate::subject::OVER_TABLES.1;
const TABLES: usize = crate::subject::OVER_TABLES.2;

fn reserved(returning: bool) -> (Source, Machine, VirtRange) {
    let source = Source::new(2048);
    let machine = machine(&source, returning);
    let window = range(WINDOW, PAGES);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    (source, machine, window)
}

/// Fails `step` at its n-th request for every n, until it succeeds, and checks that each failure
/// changes nothing. Returns how many failures that took.
fn fail_at_each<E: core::fmt::Debug>(
    source: &Source,
    machine: &Machine,
    on: bool,
    step: impl Fn(&Machine) -> Result<(), E>,
    check: impl Fn(usize, E),
) -> usize {
    let before = (source.physical.picture(), machine.footprint().table_frames);
    let ready = source.out() - machine.footprint().table_frames - machine.footprint().held_frames;
    for n in 0.. {
        // Frames in stock need no request.
        let held = machine.footprint().held_frames;
        source.fail(n, on);
        let result = step(machine);
        source.heal();
        let Err(error) = result else {
            return n;
        };
        check(held + n, error);
        assert_eq!(
            (source.physical.picture(), machine.footprint().table_frames),
            before
        );
        let Footprint {
            table_frames,
            held_frames,
        } = machine.footprint();
        assert_eq!(source.out(), ready + table_frames + held_frames);
    }
    unreachable!("there is a last request")
}

fn prepare_failing(returning: bool, on: bool) {
    let (source, machine, window) = reserved(returning);
    let failures = fail_at_each(
        &source,
        &machine,
        on,
        // SAFETY: the window is Reserved, and stays so while this fails.
        |machine| unsafe { machine.prepare(window, Patience::Wait) },
        |available, error| {
            assert_eq!(
                error,
                PrepareError::PageTables {
                    needed: TABLES,
                    available
                }
            );
        },
    );
    // A source that takes frames back is asked for all of them each time; else each failure leaves
    // stock that the next attempt need not ask for.
    assert!(
        failures == TABLES || !returning && failures < TABLES,
        "{failures}"
    );
    assert_eq!(machine.footprint().table_frames, TABLES);
}

#[test]
fn prepare_that_fails_anywhere_leaves_no_table() {
    for returning in [true, false] {
        for on in [true, false] {
            prepare_failing(returning, on);
        }
    }
}

fn commit_failing(returning: bool, on: bool) {
    let (source, machine, window) = reserved(returning);
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    let (first, rest) = window.split_at(PAGE).expect("longer");
    // SAFETY: the page is Prepared.
    unsafe { machine.commit(first, Patience::Wait) }.expect("there are frames");
    let failures = fail_at_each(
        &source,
        &machine,
        on,
        // SAFETY: the rest is Prepared, and stays so while this fails.
        |machine| unsafe { machine.commit(rest, Patience::Wait) }.map(|_| ()),
        |available, error| {
            assert_eq!(
                error,
                CommitError::Frames {
                    needed: PAGES - 1,
                    available
                }
            );
        },
    );
    assert!(
        failures == PAGES - 1 || !returning && failures < PAGES - 1,
        "{failures}"
    );
    assert!(source.flushes() == 0, "nothing was ever present");
}

#[test]
fn commit_that_fails_anywhere_leaves_no_page() {
    for returning in [true, false] {
        for on in [true, false] {
            commit_failing(returning, on);
        }
    }
}

#[test]
fn failing_a_hundred_times_holds_no_more_than_failing_once() {
    let (source, machine, window) = reserved(false);
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    source.fail(100, true);
    let mut held = Vec::new();
    for _ in 0..100 {
        // SAFETY: the window is Prepared, and stays so while this fails.
        let refused = unsafe { machine.commit(window, Patience::Wait) };
        assert_eq!(
            refused,
            Err(CommitError::Frames {
                needed: PAGES,
                available: 100
            })
        );
        held.push(machine.footprint().held_frames);
    }
    assert!(held.iter().all(|&frames| frames == 100), "{held:?}");
}

#[test]
fn out_of_memory_is_told_and_gone_again_when_memory_is_back() {
    let source = Source::new(64);
    let machine = machine(&source, true);
    let window = range(WINDOW, 70);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    let available = 64 - ROOT_FRAMES - machine.footprint().table_frames;
    // SAFETY: the window is Prepared.
    let refused = unsafe { machine.commit(window, Patience::Wait) };
    assert_eq!(
        refused,
        Err(CommitError::Frames {
            needed: 70,
            available
        })
    );
    let (part, _) = window.split_at(available * PAGE).expect("longer");
    // SAFETY: the part is Prepared, since the failure left it so.
    unsafe { machine.commit(part, Patience::Wait) }.expect("so many there were");
    assert_eq!(source.out(), 64 - ROOT_FRAMES);
}
