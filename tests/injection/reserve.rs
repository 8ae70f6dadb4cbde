//! The reserve for atomic requests: filled, used and refilled.

use archipelago::{AllocFlags, Purpose};
use archipelago_sim::{Mode, SimGeometry};
use archipelago_testing::{layout, on_every_geometry};

use crate::case::{Case, small, window};
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
    // What else is Ready goes first.
    while reserve(&case) > 0 {
        let answer = case.allocate(layout(page, page), AllocFlags::ATOMIC);
        assert_eq!(answer, Ok(()), "there is a reserve");
    }
    case
}

/// Pages in the reserve.
fn reserve<G: SimGeometry>(case: &Case<G>) -> usize {
    case.rig.heap.stats().of(Purpose::Reserve) / G::GEOMETRY.page_bytes()
}

/// What could be had stays in the reserve when the rest is refused, and no more of it when that is repeated.
fn filling_the_reserve<G: SimGeometry>() {
    let injected = for_each_injection(|injection, nth| {
        let mut case = untouched::<G>();
        let machine = case.rig.machine.clone();
        let answer = injection.during(&machine, nth, || case.set_reserve(PAGES));
        let injected = machine.injected();
        case.check();
        match answer {
            Ok(()) => assert_eq!(reserve(&case), PAGES, "it says that it is filled"),
            Err(_) => assert!(reserve(&case) < PAGES, "it says that it is not filled"),
        }
        repeat_until_nothing_changes(&mut case, injection);
        assert_eq!(case.set_reserve(PAGES), Ok(()), "nothing fails now");
        assert_eq!(reserve(&case), PAGES);
        case.finish();
        injected
    });
    println!("{injected} failures injected");
    assert!(injected >= 8, "filling the reserve needs the machine");
}

/// Whatever is refused from the first call on adds nothing, however often.
fn repeat_until_nothing_changes<G: SimGeometry>(case: &mut Case<G>, injection: Injection) {
    let injection = match injection {
        Injection::Failure(_) => Injection::Failure(Mode::FromThenOn),
        Injection::Busy(_) => Injection::Busy(Mode::FromThenOn),
    };
    let before = Snapshot::settled(case);
    let machine = case.rig.machine.clone();
    for _ in 0..REPEATS {
        let answer = injection.during(&machine, 1, || case.set_reserve(PAGES));
        assert_eq!(answer.is_ok(), reserve(case) == PAGES);
    }
    Snapshot::settled(case).assert_no_more_than(&before);
}

/// An ordinary request does not suffer from a reserve that cannot be refilled, and a later one refills it.
fn refilling_the_reserve<G: SimGeometry>() {
    let injected = for_each_injection(|injection, nth| {
        let mut case = with_a_used_reserve::<G>();
        let machine = case.rig.machine.clone();
        let answer = injection.during(&machine, nth, || {
            case.allocate(small(), AllocFlags::empty())
        });
        let injected = machine.injected();
        assert_eq!(answer, Ok(()), "a span has a free slot");
        case.check();
        let answer = case.allocate(small(), AllocFlags::empty());
        assert_eq!(answer, Ok(()), "nothing fails now");
        assert_eq!(reserve(&case), PAGES, "refilled");
        case.finish();
        injected
    });
    println!("{injected} failures injected");
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

on_every_geometry!(
    filling_the_reserve,
    refilling_the_reserve,
    using_the_reserve_does_not_call_the_machine,
);
