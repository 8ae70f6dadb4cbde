//! Calls of the simulated machine: counted, failed by injection, busy, and seen by a hook.

use crate::common::{commit, decommit, make_ready, prepare, range, release};
use archipelago_api::{Busy, CommitError, Machine, Patience, PrepareError, ReserveError};
use archipelago_sim::{Kind, Mode, Plain32, Sim, State};

#[test]
fn calls_are_counted_by_kind() {
    let sim = Sim::<Plain32>::default();
    let window = range(0x10_0000, 0x4000);
    make_ready(&sim, window);
    decommit(&sim, window);
    commit(&sim, window);
    release(&sim, window);
    let calls = sim.calls();
    let counts = Kind::ALL.map(|kind| calls.of(kind));
    assert_eq!(counts, [1, 1, 2, 1, 0, 1]);
    assert_eq!(calls.total(), 6);
}

#[test]
fn an_injected_failure_is_the_calls_own_and_changes_nothing() {
    let sim = Sim::<Plain32>::default();
    let window = range(0x10_0000, 0x4000);
    sim.fail_nth(1, Mode::Once);
    // SAFETY: no other call of the machine runs meanwhile.
    let refused = unsafe { sim.reserve(window, Patience::Wait) };
    assert_eq!(refused, Err(ReserveError::Occupied { occupied: window }));
    sim.fail_nth(2, Mode::FromThenOn);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { sim.reserve(window, Patience::Wait) }.expect("the first call succeeds");
    for _ in 0..2 {
        // SAFETY: the simulated machine checks the state itself.
        let refused = unsafe { sim.prepare(window, Patience::Wait) };
        assert_eq!(
            refused,
            Err(PrepareError::PageTables {
                needed: 2,
                available: 1
            })
        );
    }
    assert_eq!(sim.injected(), 2);
    sim.disarm();
    prepare(&sim, window);
    sim.fail_nth(1, Mode::Once);
    // SAFETY: the simulated machine checks the state itself.
    let refused = unsafe { sim.commit(window, Patience::Wait) };
    assert_eq!(
        refused,
        Err(CommitError::Frames {
            needed: 4,
            available: 3
        })
    );
    assert_eq!(sim.ranges(), [(window, State::Prepared)]);
    commit(&sim, window);
    sim.fail_nth(1, Mode::Once);
    decommit(&sim, window);
    assert_eq!(
        sim.injected(),
        0,
        "decommit cannot fail for want of anything"
    );
}

#[test]
fn a_call_that_must_not_wait_finds_the_held_machine_busy() {
    let sim = Sim::<Plain32>::default();
    let window = range(0x10_0000, 0x4000);
    make_ready(&sim, window);
    let held = sim.hold();
    // SAFETY: the simulated machine checks the state itself.
    assert_eq!(unsafe { sim.decommit(window, Patience::Try) }, Err(Busy));
    assert_eq!(sim.ranges(), [(window, State::Ready)]);
    drop(held);
    // SAFETY: as above.
    assert_eq!(unsafe { sim.decommit(window, Patience::Try) }, Ok(()));
    sim.busy_nth(2, Mode::Once);
    // SAFETY: as above.
    assert!(unsafe { sim.commit(window, Patience::Try) }.is_ok());
    // SAFETY: as above.
    assert_eq!(unsafe { sim.decommit(window, Patience::Try) }, Err(Busy));
    // SAFETY: as above.
    assert_eq!(unsafe { sim.decommit(window, Patience::Wait) }, Ok(()));
    assert_eq!(sim.injected(), 1);
}

#[test]
fn a_call_that_may_wait_does() {
    let sim = Sim::<Plain32>::default();
    let window = range(0x10_0000, 0x4000);
    let held = sim.hold();
    std::thread::scope(|scope| {
        // SAFETY: no other call of the machine runs meanwhile.
        let call = scope.spawn(|| unsafe { sim.reserve(window, Patience::Wait) });
        while sim.calls().total() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(sim.ranges(), []);
        drop(held);
        assert_eq!(call.join().expect("no panic"), Ok(()));
    });
    assert_eq!(sim.ranges(), [(window, State::Reserved)]);
}

#[test]
fn the_hook_runs_before_the_call_takes_effect_and_may_look_at_the_machine() {
    use alloc::sync::Arc;
    use std::sync::Mutex;

    let sim = Sim::<Plain32>::default();
    let window = range(0x10_0000, 0x4000);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (inner, log) = (sim.clone(), Arc::clone(&seen));
    sim.on_call(move |call| {
        log.lock()
            .expect("no panic")
            .push((call.kind, inner.state(call.range.base())));
    });
    make_ready(&sim, window);
    sim.clear_hook();
    release(&sim, window);
    assert_eq!(
        *seen.lock().expect("no panic"),
        [
            (Kind::Reserve, State::None),
            (Kind::Prepare, State::Reserved),
            (Kind::Commit, State::Prepared),
        ]
    );
}
