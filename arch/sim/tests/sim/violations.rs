//! Every way to break the contract is caught at once, by a message that names call, range and
//! state.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use crate::common::{commit, decommit, fault, make_ready, prepare, range, release};
use archipelago_api::{Machine, Patience, VirtAddr, VirtRange};
use archipelago_sim::{Kind, Plain31, Plain32, Sim, State};

/// The machine's message for a caller's mistake.
fn message(mistake: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(mistake)).expect_err("the mistake is caught");
    *payload
        .downcast::<String>()
        .expect("the message is formatted")
}

/// Makes a call, which need not succeed.
fn call(sim: &Sim<Plain32>, kind: Kind, range: VirtRange) {
    match kind {
        // SAFETY: no other call of the machine runs meanwhile.
        Kind::Reserve => unsafe { sim.reserve(range, Patience::Wait) }.expect("nothing is there"),
        Kind::Prepare => prepare(sim, range),
        Kind::Commit => commit(sim, range),
        Kind::Decommit => decommit(sim, range),
        Kind::Fault => fault(sim, range),
        Kind::Release => release(sim, range),
    }
}

/// A machine whose window is in `state`.
fn sim_in(state: State, window: VirtRange) -> Sim<Plain32> {
    let sim = Sim::default();
    let steps: &[Kind] = match state {
        State::None => &[],
        State::Reserved => &[Kind::Reserve],
        State::Prepared => &[Kind::Reserve, Kind::Prepare],
        State::Ready => &[Kind::Reserve, Kind::Prepare, Kind::Commit],
    };
    for &step in steps {
        call(&sim, step, window);
    }
    sim
}

const WINDOW: (usize, usize) = (0x10_0000, 0x4000);

#[test]
fn each_call_from_each_wrong_state_is_caught_and_changes_nothing() {
    let window = range(WINDOW.0, WINDOW.1);
    let wrong = [
        (
            Kind::Prepare,
            [State::None, State::Prepared, State::Ready].as_slice(),
            "not Reserved",
        ),
        (
            Kind::Commit,
            &[State::None, State::Reserved, State::Ready],
            "not Prepared",
        ),
        (
            Kind::Decommit,
            &[State::None, State::Reserved, State::Prepared],
            "not Ready",
        ),
        (
            Kind::Fault,
            &[State::None, State::Reserved],
            "not Ready or Prepared",
        ),
        (
            Kind::Release,
            &[State::None],
            "not Ready or Prepared or Reserved",
        ),
    ];
    for (kind, states, expected) in wrong {
        for &state in states {
            let sim = sim_in(state, window);
            let before = (sim.ranges(), sim.frames_taken(), sim.frames_returned());
            let said = message(|| call(&sim, kind, window));
            let expected = format!(
                "simulated machine: {kind} of 0x100000..=0x103fff: \
                 0x100000 is {state:?}, {expected}"
            );
            assert_eq!(said, expected);
            assert_eq!(
                before,
                (sim.ranges(), sim.frames_taken(), sim.frames_returned())
            );
        }
    }
}

#[test]
fn one_granule_in_the_wrong_state_is_enough() {
    let window = range(WINDOW.0, WINDOW.1);
    let sim = sim_in(State::Ready, window);
    decommit(&sim, range(0x10_2000, 0x1000));
    let said = message(|| decommit(&sim, window));
    assert!(said.ends_with("0x102000 is Prepared, not Ready"), "{said}");
    let said = message(|| commit(&sim, window));
    assert!(said.ends_with("0x100000 is Ready, not Prepared"), "{said}");
}

#[test]
fn empty_misaligned_and_outlying_ranges_are_caught() {
    let sim = sim_in(State::Ready, range(WINDOW.0, WINDOW.1));
    for kind in Kind::ALL {
        let said = message(|| call(&sim, kind, range(0x10_0000, 0)));
        assert!(
            said.contains(&format!("{kind} of an empty range at 0x100000")),
            "{said}"
        );
        for bad in [range(0x10_0800, 0x1000), range(0x10_0000, 0x1800)] {
            let said = message(|| call(&sim, kind, bad));
            assert!(
                said.contains("not a multiple of the granule, 4096 bytes"),
                "{said}"
            );
        }
    }
    let narrow = Sim::<Plain31>::default();
    let said = message(|| prepare(&narrow, range(0x8000_0000, 0x1000)));
    assert!(
        said.ends_with("the range leaves the address space"),
        "{said}"
    );
}

#[test]
fn a_call_over_two_windows_is_caught_where_they_are_apart_on_the_host() {
    // Without traps, windows that meet at a multiple of 256 MiB are.
    let sim = Sim::<Plain32>::builder().traps(false).build();
    make_ready(&sim, range(0xfff_f000, 0x1000));
    make_ready(&sim, range(0x1000_0000, 0x1000));
    let said = message(|| decommit(&sim, range(0xfff_f000, 0x2000)));
    assert!(
        said.ends_with("another that is apart on the host"),
        "{said}"
    );
}

#[test]
fn a_call_from_within_a_call_is_caught() {
    let sim = Sim::<Plain32>::default();
    let inner = sim.clone();
    sim.on_call(move |call| {
        if call.kind == Kind::Prepare {
            commit(&inner, range(0x10_0000, 0x1000));
        }
    });
    let window = range(WINDOW.0, WINDOW.1);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { sim.reserve(window, Patience::Wait) }.expect("nothing is there");
    let said = message(|| prepare(&sim, window));
    assert!(said.ends_with("is in flight, from within it"), "{said}");
    sim.clear_hook();
    prepare(&sim, window);
}

#[test]
fn a_call_beside_another_threads_call_is_caught() {
    use alloc::sync::Arc;
    use std::sync::Barrier;

    let sim = Sim::<Plain32>::default();
    let begun = Arc::new(Barrier::new(2));
    let over = Arc::new(Barrier::new(2));
    let (begun_inside, over_inside) = (begun.clone(), over.clone());
    sim.on_call(move |_| {
        begun_inside.wait();
        over_inside.wait();
    });
    std::thread::scope(|scope| {
        // SAFETY: the simulated machine stops at a call that comes meanwhile.
        scope.spawn(|| unsafe { sim.reserve(range(0x10_0000, 0x1000), Patience::Wait) });
        begun.wait();
        let said = message(|| {
            // SAFETY: the simulated machine stops at a call that comes meanwhile.
            unsafe { sim.reserve(range(0x20_0000, 0x1000), Patience::Wait) }
                .expect("caught before");
        });
        over.wait();
        assert!(said.ends_with("is in flight, in another thread"), "{said}");
    });
}

#[test]
fn waiting_for_a_lock_of_its_own_thread_is_caught() {
    let sim = Sim::<Plain32>::default();
    let _held = sim.hold();
    let window = range(WINDOW.0, WINDOW.1);
    // SAFETY: no other call of the machine runs meanwhile.
    let said = message(|| unsafe { sim.reserve(window, Patience::Wait) }.expect("caught before"));
    assert!(
        said.ends_with("waits for a lock that its own thread holds"),
        "{said}"
    );
}

#[test]
fn an_access_to_a_granule_that_is_not_ready_is_caught_by_asking() {
    let sim = sim_in(State::Ready, range(WINDOW.0, WINDOW.1));
    sim.check_access(VirtAddr::new(0x10_0001), 0x3fff);
    sim.check_access(VirtAddr::new(0x20_0000), 0);
    decommit(&sim, range(0x10_3000, 0x1000));
    let said = message(|| sim.check_access(VirtAddr::new(0x10_2fff), 2));
    assert!(said.ends_with("0x103000 is Prepared"), "{said}");
    let said = message(|| sim.check_access(VirtAddr::new(usize::MAX), 2));
    assert!(said.ends_with("leave the address space"), "{said}");
}

/// Miri cannot run this: memory that is not Ready is uninitialised there, and cannot be read.
#[test]
#[cfg(not(miri))]
fn writing_to_memory_that_does_not_trap_is_found_at_the_next_commit() {
    use archipelago_sim::Small;

    use crate::common::write;

    let window = range(0x10_0000, 0x4000);
    let plain = Sim::<Plain32>::builder().traps(false).build();
    make_ready(&plain, window);
    decommit(&plain, window);
    write(&plain, VirtAddr::new(0x10_1234), 1);
    let said = message(|| commit(&plain, window));
    assert!(
        said.ends_with("0x101234 was written while it was not Ready"),
        "{said}"
    );

    // A granule of 1 KiB beside one that is Ready shares its host page.
    let small = Sim::<Small>::default();
    make_ready(&small, window);
    decommit(&small, range(0x10_0400, 0x400));
    write(&small, VirtAddr::new(0x10_07ff), 1);
    let said = message(|| commit(&small, range(0x10_0400, 0x400)));
    assert!(
        said.ends_with("0x1007ff was written while it was not Ready"),
        "{said}"
    );
}
