//! Runs in adjacent frames: whichever call fails, the account stays exact.

use archipelago::{AllocFlags, Cause, PhysAddr, Purpose, Window};
use archipelago_api::Machine;
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, on_every_geometry};

use crate::case::{Case, home};
use crate::refusal::Refusal;
use crate::sweep::{Injection, for_each_injection};

const PAGES: usize = 12;

/// A heap with a small object, on a machine whose source supplies adjacent frames.
fn set_up<G: SimGeometry>() -> Case<G> {
    let machine = Sim::builder().adjacent_frames(true).build();
    let window = Window::new(home::<G>(), 4 * G::GEOMETRY.arena_bytes());
    let mut case = Case::of(Rig::on(machine, &[window]));
    case.get(200, 8);
    case
}

/// Allocates a run, frees it, and returns where its frames were.
fn allocate<G: SimGeometry>(case: &Case<G>) -> Result<PhysAddr, Refusal> {
    let pages = case.rig.heap.pages();
    let run = pages.allocate_adjacent(PAGES, 1, AllocFlags::empty());
    let run = run.map_err(Refusal::Request)?;
    assert_eq!(case.rig.heap.stats().of(Purpose::Runs), run.bytes());
    case.rig.check();
    Ok(run.physical())
}

/// The bytes that are charged to what callers hold.
fn charged<G: SimGeometry>(case: &Case<G>) -> [usize; 3] {
    let stats = case.rig.heap.stats();
    [Purpose::Objects, Purpose::Runs, Purpose::Reserve].map(|purpose| stats.of(purpose))
}

/// Checks that a refusal left what callers hold as it was, and that the request succeeds now.
fn check_and_succeed<G: SimGeometry>(case: Case<G>, before: [usize; 3]) {
    case.check();
    assert_eq!(charged(&case), before);
    allocate(&case).expect("nothing fails any more");
    assert_eq!(charged(&case), before);
    case.finish();
}

fn any_call_may_fail<G: SimGeometry>() {
    if !<Sim<G> as Machine>::DECOMMITS {
        return;
    }
    let injected = for_each_injection(|injection, nth| {
        let case = set_up::<G>();
        let before = charged(&case);
        let machine = case.rig.machine.clone();
        let result = injection.during(&machine, nth, || allocate(&case));
        let injected = machine.injected();
        // A step that a busy machine left pending is undone by the next call.
        assert_eq!(case.rig.heap.scavenge(0), Ok(0), "nothing was asked for");
        match result {
            Ok(_) => assert_eq!(injected, 0, "a failure was lost"),
            Err(refusal) => {
                assert!(injected > 0, "{refusal}, although nothing failed");
                let documented = match injection {
                    Injection::Busy(_) => refusal.is_busy(),
                    Injection::Failure(_) => matches!(
                        refusal.cause(),
                        Some(
                            Cause::Frames { .. }
                                | Cause::PageTables { .. }
                                | Cause::Adjacent { .. }
                        )
                    ),
                };
                assert!(documented, "{refusal:?}");
            }
        }
        check_and_succeed(case, before);
        injected
    });
    crate::report(injected);
    assert!(injected >= 4, "a run needs calls that can fail");
}

fn any_number_of_frames_may_be_left<G: SimGeometry>() {
    if !<Sim<G> as Machine>::DECOMMITS {
        return;
    }
    for frames in 0.. {
        let case = set_up::<G>();
        let before = charged(&case);
        case.rig.machine.set_available_frames(frames);
        let result = allocate(&case);
        case.rig.machine.set_available_frames(usize::MAX / 2);
        check_and_succeed(case, before);
        if result.is_ok() {
            assert!(frames > 0, "a run needs frames");
            break;
        }
    }
}

on_every_geometry! {
    any_call_may_fail,
    any_number_of_frames_may_be_left,
}
