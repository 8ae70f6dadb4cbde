//! Two threads that grow the heap at once, while calls of the machine fail.

use std::sync::Barrier;
use std::thread;

use archipelago::{AllocFlags, Cause};
use archipelago_sim::{Mode, SimGeometry};
use archipelago_testing::{Block, Rig, on_every_geometry};

use crate::case::{Case, large, metadata_window, window};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::sweep::{Injection, REPEATS, for_each_injection, masked};

/// A block on its way to another thread.
struct Sent(Block);

// SAFETY: a block is a pointer into the heap, which any thread may use.
unsafe impl Send for Sent {}

/// A heap whose pages are all taken.
fn full<G: SimGeometry>() -> Case<G> {
    let pages = G::GEOMETRY.chunk_pages();
    let first = window::<G>(0, pages);
    let second = window::<G>(5 * G::GEOMETRY.arena_pages(), 4 * pages);
    let mut case = Case::on(&[first, second, metadata_window::<G>()]);
    case.get(pages * G::GEOMETRY.page_bytes(), 8);
    case
}

/// Two threads ask for a large object each, at once.
fn grow_twice<G: SimGeometry>(rig: &Rig<G>, is_masked: bool) -> [Result<Sent, Refusal>; 2] {
    let barrier = Barrier::new(2);
    let grow = || {
        barrier.wait();
        let allocate = || rig.allocate(large(), AllocFlags::empty());
        let result = if is_masked {
            masked(allocate)
        } else {
            allocate()
        };
        result.map(Sent).map_err(Refusal::Request)
    };
    thread::scope(|scope| {
        let other = scope.spawn(grow);
        [grow(), other.join().expect("no panic")]
    })
}

fn two_growers_at_once<G: SimGeometry>() {
    let injected = for_each_injection(|injection, nth| {
        let mut case = full::<G>();
        let before = Snapshot::of(&case);
        let results = inject(&case, injection, nth);
        let injected = case.rig.machine.injected();
        let refused = keep(&mut case, results, injection);
        case.check();
        if refused == 2 {
            let after = Snapshot::settled(&case);
            after
                .with_free_pages_alike()
                .assert_only_stocked(&before.with_free_pages_alike(), false);
        }
        repeat(&mut case, injection);
        for _ in 0..refused {
            let result = case.allocate(large(), AllocFlags::empty());
            assert_eq!(result, Ok(()), "nothing fails now");
        }
        case.finish();
        injected
    });
    crate::report(injected);
    assert!(injected >= 8, "growing needs the machine");
}

fn inject<G: SimGeometry>(
    case: &Case<G>,
    injection: Injection,
    nth: usize,
) -> [Result<Sent, Refusal>; 2] {
    let machine = &case.rig.machine;
    match injection {
        Injection::Failure(mode) => machine.fail_nth(nth, mode),
        Injection::Busy(mode) => machine.busy_nth(nth, mode),
    }
    let results = grow_twice(&case.rig, matches!(injection, Injection::Busy(_)));
    machine.disarm();
    results
}

/// Keeps the objects, checks the refusals, and returns how many there are.
fn keep<G: SimGeometry>(
    case: &mut Case<G>,
    results: [Result<Sent, Refusal>; 2],
    injection: Injection,
) -> usize {
    let mut refused = 0;
    for result in results {
        match (result, injection) {
            (Ok(Sent(block)), _) => case.adopt(block),
            (Err(refusal), Injection::Failure(_)) => {
                let cause = refusal.cause();
                let documented = matches!(
                    cause,
                    Some(Cause::Frames { needed, available } | Cause::PageTables { needed, available })
                        if available < needed
                );
                assert!(documented, "{refusal:?}");
                refused += 1;
            }
            (Err(refusal), Injection::Busy(_)) => {
                assert!(refusal.is_busy(), "{refusal:?}");
                refused += 1;
            }
        }
    }
    refused
}

/// Refuses both requests, over and over: only the first refusal leaves something.
fn repeat<G: SimGeometry>(case: &mut Case<G>, injection: Injection) {
    let injection = match injection {
        Injection::Failure(_) => Injection::Failure(Mode::FromThenOn),
        Injection::Busy(_) => Injection::Busy(Mode::FromThenOn),
    };
    let mut once = None;
    for _ in 0..REPEATS {
        let results = inject(case, injection, 1);
        assert_eq!(keep(case, results, injection), 2, "nothing can be had");
        once.get_or_insert_with(|| Snapshot::settled(case));
    }
    let once = once.expect("it was refused at least once");
    Snapshot::settled(case).assert_no_more_than(&once);
}

on_every_geometry!(two_growers_at_once);
