//! Runs in adjacent frames.

use archipelago::{AdjacentRun, AllocError, AllocFlags, Cause, PhysAddr, Purpose};
use archipelago_api::Machine;
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::{Rig, lone_window, on_every_geometry};

const NONE: AllocFlags = AllocFlags::empty();

type Run<'h, G> = AdjacentRun<'h, Sim<G>, Hosted>;

/// A heap on a machine whose source supplies adjacent frames.
fn supplied<G: SimGeometry>() -> Rig<G> {
    let machine = Sim::builder().adjacent_frames(true).build();
    Rig::on(machine, &[lone_window::<G>(2 * G::GEOMETRY.arena_bytes())])
}

fn allocate<G: SimGeometry>(
    rig: &Rig<G>,
    count: usize,
    align: usize,
    flags: AllocFlags,
) -> Result<Run<'_, G>, AllocError> {
    rig.heap.pages().allocate_adjacent(count, align, flags)
}

fn runs<G: SimGeometry>(rig: &Rig<G>) -> usize {
    rig.heap.stats().of(Purpose::Runs) / Rig::<G>::PAGE
}

const fn decommits<G: SimGeometry>() -> bool {
    <Sim<G> as Machine>::DECOMMITS
}

fn frames_of<G: SimGeometry>(run: &Run<'_, G>) -> (PhysAddr, PhysAddr) {
    let bytes = u64::try_from(run.bytes()).expect("a few pages");
    let end = run.physical().checked_add(bytes).expect("it does not wrap");
    (run.physical(), end)
}

fn a_run_is_aligned_twice_zeroed_and_charged<G: SimGeometry>() {
    let rig = supplied::<G>();
    if !decommits::<G>() {
        return;
    }
    let mut live = Vec::new();
    for (count, align) in [(1, 1), (3, 8 * Rig::<G>::PAGE), (5, Rig::<G>::PAGE)] {
        let run = allocate(&rig, count, align, AllocFlags::ZEROED).expect("memory");
        assert_eq!(run.base().value() % align, 0);
        assert_eq!(run.physical().value() % align as u64, 0);
        assert_eq!((run.count(), run.bytes()), (count, count * Rig::<G>::PAGE));
        // SAFETY: the run is Ready and this test's alone.
        let bytes = unsafe { run.as_ptr().as_mut() };
        assert!(bytes.iter().all(|byte| *byte == 0));
        bytes.fill(0xa5);
        live.push(run);
        rig.verify();
        rig.check();
    }
    assert_eq!(runs(&rig), 9);
    live.sort_by_key(Run::<G>::physical);
    for pair in live.windows(2) {
        let ((_, end), (next, _)) = (frames_of(&pair[0]), frames_of(&pair[1]));
        assert!(end <= next, "a frame is in two runs");
    }
    live.clear();
    assert_eq!(runs(&rig), 0);
    rig.verify();
    rig.check();
}

fn pages_that_are_ready_get_adjacent_frames<G: SimGeometry>() {
    let rig = supplied::<G>();
    if !decommits::<G>() {
        return;
    }
    drop(rig.heap.pages().allocate(6, 1, NONE).expect("memory"));
    let ready = rig.heap.stats().mapped_ready;
    let run = allocate(&rig, 6, 1, NONE).expect("memory");
    assert_eq!(
        rig.heap.stats().mapped_ready,
        ready,
        "frames were exchanged"
    );
    let mut run = run.into_run();
    run.shrink(2);
    rig.verify();
    rig.check();
    drop(run);
    rig.check();
}

fn a_source_without_adjacent_frames_refuses_by_name<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let needed = 3 * Rig::<G>::PAGE / G::GEOMETRY.granule_bytes();
    for _ in 0..2 {
        let refused = allocate(&rig, 3, 1, NONE).unwrap_err();
        assert_eq!(refused.cause, Cause::Adjacent { needed }, "{refused}");
        assert_eq!(runs(&rig), 0);
        assert_eq!(rig.heap.stats().of(Purpose::Objects), 0);
        rig.verify();
        rig.check();
    }
    drop(rig.heap.pages().allocate(3, 1, NONE).expect("memory"));
    rig.check();
}

fn a_request_that_must_not_call_the_machine_is_refused<G: SimGeometry>() {
    let rig = supplied::<G>();
    let calls = rig.machine.calls();
    for flags in [AllocFlags::NO_GROW, AllocFlags::ATOMIC] {
        let refused = allocate(&rig, 2, 1, flags).unwrap_err();
        let bytes = 2 * Rig::<G>::PAGE;
        assert_eq!(refused.cause, Cause::NotReady { bytes });
    }
    let refused = allocate(&rig, 0, 1, NONE).unwrap_err();
    assert_eq!(refused.cause, Cause::NoSuchRun { pages: 0, align: 1 });
    assert_eq!(rig.machine.calls(), calls);
}

on_every_geometry! {
    a_run_is_aligned_twice_zeroed_and_charged,
    pages_that_are_ready_get_adjacent_frames,
    a_source_without_adjacent_frames_refuses_by_name,
    a_request_that_must_not_call_the_machine_is_refused,
}
