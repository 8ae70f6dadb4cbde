//! The reserve for atomic requests: filled, used and refilled.

use archipelago::{AllocFlags, Cause, Purpose};
use archipelago_sim::{Mode, SimGeometry};
use archipelago_testing::{layout, on_every_geometry};

use crate::case::{Case, metadata_window, small, window};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::sweep::{Injection, REPEATS, for_each_injection};

/// Pages of the reserve.
const PAGES: usize = 6;

fn untouched<G: SimGeometry>() -> Case<G> {
    Case::on(&[window::<G>(0, 2 * G::GEOMETRY.arena_pages())])
}

/// A heap whose reserve was used up, and which has room for a small object.
fn with_a_used_reserve<G: SimGeometry>() -> Case<G> {
    let mut case = untouched::<G>();
    case.get(24, 8);
    assert_eq!(case.set_reserve(PAGES), Ok(()), "there is memory");
    let page = G::GEOMETRY.page_bytes();
    // Other Ready memory is used up first.
    while reserve(&case) > 0 {
        let result = case.allocate(layout(page, page), AllocFlags::ATOMIC);
        assert_eq!(result, Ok(()), "there is a reserve");
    }
    case
}

/// Pages in the reserve.
fn reserve<G: SimGeometry>(case: &Case<G>) -> usize {
    case.rig.heap.stats().of(Purpose::Reserve) / G::GEOMETRY.page_bytes()
}

/// Pages that could be had stay in the reserve when the rest is refused, and a repeated refusal
/// adds none.
fn filling_the_reserve<G: SimGeometry>() {
    let injected = for_each_injection(|injection, nth| {
        let mut case = untouched::<G>();
        let machine = case.rig.machine.clone();
        let result = injection.during(&machine, nth, || case.set_reserve(PAGES));
        let injected = machine.injected();
        case.check();
        if result.is_ok() {
            assert_eq!(reserve(&case), PAGES, "it says that it is filled");
        }
        repeat_until_nothing_changes(&mut case, injection);
        assert_eq!(case.set_reserve(PAGES), Ok(()), "nothing fails now");
        assert_eq!(reserve(&case), PAGES);
        case.finish();
        injected
    });
    crate::report(injected);
    assert!(injected >= 8, "filling the reserve needs the machine");
}

/// A request that is refused from its first call on adds nothing after the first time, however
/// often it is repeated.
fn repeat_until_nothing_changes<G: SimGeometry>(case: &mut Case<G>, injection: Injection) {
    let injection = match injection {
        Injection::Failure(_) => Injection::Failure(Mode::FromThenOn),
        Injection::Busy(_) => Injection::Busy(Mode::FromThenOn),
    };
    let machine = case.rig.machine.clone();
    let mut once = None;
    for _ in 0..REPEATS {
        let result = injection.during(&machine, 1, || case.set_reserve(PAGES));
        assert!(result.is_err() || reserve(case) == PAGES);
        once.get_or_insert_with(|| Snapshot::settled(case));
    }
    let once = once.expect("it was refused at least once");
    Snapshot::settled(case).assert_no_more_memory_than(&once);
}

/// A request that finds a free slot does not refill the reserve. One that needs a page does not
/// suffer from a reserve that cannot be refilled, and a later one refills it.
fn refilling_the_reserve<G: SimGeometry>() {
    let injected = for_each_injection(|injection, nth| {
        let mut case = with_a_used_reserve::<G>();
        let machine = case.rig.machine.clone();
        let calls = machine.calls();
        let result = case.allocate(small(), AllocFlags::empty());
        assert_eq!(result, Ok(()), "a span has a free slot");
        assert_eq!(machine.calls(), calls, "which needs no machine");
        // Too large for any span, so that it needs pages each time.
        let run = layout(40 * G::GEOMETRY.page_bytes(), 8);
        let result = injection.during(&machine, nth, || case.allocate(run, AllocFlags::empty()));
        let injected = machine.injected();
        assert!(result.is_ok() || injected > 0, "{result:?}");
        case.check();
        let result = case.allocate(run, AllocFlags::empty());
        assert_eq!(result, Ok(()), "nothing fails now");
        assert_eq!(reserve(&case), PAGES, "refilled");
        case.finish();
        injected
    });
    crate::report(injected);
    assert!(injected >= 8, "refilling the reserve needs the machine");
}

/// Atomic requests never come to the machine.
fn using_the_reserve_does_not_call_the_machine<G: SimGeometry>() {
    let mut case = untouched::<G>();
    case.get(24, 8);
    assert_eq!(case.set_reserve(PAGES), Ok(()), "there is memory");
    let calls = case.rig.machine.calls();
    let page = G::GEOMETRY.page_bytes();
    let mut served = 0;
    while case
        .allocate(layout(page, page), AllocFlags::ATOMIC)
        .is_ok()
    {
        served += 1;
    }
    assert!(served >= PAGES, "{served} requests served");
    assert_eq!(reserve(&case), 0);
    assert_eq!(case.rig.machine.calls(), calls);
    case.finish();
}

/// A smaller reserve gives back the pages that it does not need.
fn a_reserve_that_shrinks<G: SimGeometry>() {
    let mut case = untouched::<G>();
    for pages in [PAGES, 2, 0, 3] {
        assert_eq!(case.set_reserve(pages), Ok(()), "there is memory");
        assert_eq!(reserve(&case), pages);
        case.check();
    }
    case.finish();
}

/// Where free pages are scattered and the heap cannot grow, the reserve holds the runs that it has
/// room for, and reports that it is not full.
fn a_reserve_of_scattered_pages<G: SimGeometry>() {
    let mut case = Case::<G>::on(&[window::<G>(0, 64), metadata_window::<G>()]);
    let page = layout(G::GEOMETRY.page_bytes(), G::GEOMETRY.page_bytes());
    let mut kept = Vec::new();
    while let Ok(block) = case.rig.allocate(page, AllocFlags::empty()) {
        kept.push(block);
    }
    assert_eq!(kept.len(), 64);
    for pair in kept.chunks(2) {
        case.rig.free(pair[0]);
    }
    let result = case.set_reserve(20);
    assert!(
        matches!(result, Err(Refusal::Reserve(Cause::Window { .. }))),
        "{result:?}"
    );
    let held = reserve(&case);
    assert!(held > 0 && held < 20, "{held} pages in the reserve");
    case.check();
    for pair in kept.chunks(2) {
        case.rig.free(pair[1]);
    }
    // The next ordinary request fills the reserve.
    let result = case.allocate(small(), AllocFlags::empty());
    assert_eq!(result, Ok(()), "pages are free");
    assert_eq!(reserve(&case), 20);
    case.finish();
}

on_every_geometry!(
    a_reserve_that_shrinks,
    a_reserve_of_scattered_pages,
    filling_the_reserve,
    refilling_the_reserve,
    using_the_reserve_does_not_call_the_machine,
);
