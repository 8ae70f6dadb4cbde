//! Runs of pages for the kernel: owned values, beside the objects of the heap.

use archipelago::{AllocFlags, Cause, Pages, Purpose};
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::Rig;

const NONE: AllocFlags = AllocFlags::empty();

fn pages<G: SimGeometry>(rig: &Rig<G>) -> Pages<'_, Sim<G>, Hosted> {
    rig.heap.pages()
}

fn runs<G: SimGeometry>(rig: &Rig<G>) -> usize {
    rig.heap.stats().of(Purpose::Runs) / Rig::<G>::PAGE
}

fn a_run_is_aligned_zeroed_and_charged<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    for (count, align) in [(1, 1), (3, 8 * Rig::<G>::PAGE), (20, Rig::<G>::PAGE)] {
        let run = pages(&rig)
            .allocate(count, align, AllocFlags::ZEROED)
            .expect("memory");
        assert_eq!(run.base().value() % align, 0);
        assert_eq!(run.count(), count);
        assert_eq!(run.bytes(), count * Rig::<G>::PAGE);
        assert_eq!(run.as_ptr().len(), run.bytes());
        // SAFETY: the run is Ready and this test's alone.
        let bytes = unsafe { run.as_ptr().as_ref() };
        assert!(bytes.iter().all(|byte| *byte == 0));
        assert_eq!(runs(&rig), count);
        rig.verify();
        rig.check();
        drop(run);
        assert_eq!(runs(&rig), 0);
        rig.verify();
    }
    rig.check();
}

fn memory_that_was_used_is_cleared_again<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    for _ in 0..2 {
        let run = pages(&rig)
            .allocate(4, 1, AllocFlags::ZEROED)
            .expect("memory");
        // SAFETY: the run is Ready and this test's alone.
        let bytes = unsafe { run.as_ptr().as_mut() };
        assert!(bytes.iter().all(|byte| *byte == 0));
        bytes.fill(0xa5);
    }
}

fn a_run_is_no_object<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let run = pages(&rig).allocate(2, 1, NONE).expect("memory");
    assert!(!rig.heap.owns(run.base()));
    let mut spans = 0;
    rig.heap.for_each_span(|_| spans += 1);
    assert_eq!(spans, 0);
    let mut used = 0;
    rig.heap.for_each_chunk(|chunk| used += chunk.used);
    assert!(used >= 2, "chunks count the pages of runs as used");
}

fn a_run_grows_and_shrinks_in_place<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    drop(pages(&rig).allocate(12, 1, NONE).expect("memory"));
    let mut run = pages(&rig).allocate(4, 1, NONE).expect("memory");
    let base = run.base();
    run.extend(6, AllocFlags::ZEROED)
        .expect("free pages follow");
    assert_eq!((run.base(), run.count(), runs(&rig)), (base, 10, 10));
    let next = pages(&rig).allocate(2, 1, NONE).expect("memory");
    let refused = run.extend(3, AllocFlags::NO_GROW).unwrap_err();
    assert!(matches!(refused.cause, Cause::NotFree { .. }), "{refused}");
    let refused = run.extend(usize::MAX, NONE).unwrap_err();
    assert!(matches!(refused.cause, Cause::TooLarge { .. }), "{refused}");
    assert_eq!(run.count(), 10, "a refused run is as it was");
    run.extend(0, NONE).expect("nothing is asked for");
    run.shrink(11);
    assert_eq!(run.count(), 10, "a run does not grow by shrinking");
    run.shrink(3);
    assert_eq!((run.base(), run.count(), runs(&rig)), (base, 3, 5));
    rig.verify();
    drop(next);
    run.shrink(0);
    assert_eq!((run.count(), run.bytes(), runs(&rig)), (0, 0, 0));
    drop(run);
    rig.verify();
    rig.check();
}

/// Single pages come and go directly above the run.
fn a_run_grows_into_pages_that_were_used<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    drop(pages(&rig).allocate(12, 1, NONE).expect("memory"));
    let mut run = pages(&rig).allocate(1, 1, NONE).expect("memory");
    let base = run.base();
    for count in [2, 3, 12] {
        let more = count - run.count();
        run.extend(more, NONE).expect("free pages follow");
        assert_eq!((run.base(), run.count(), runs(&rig)), (base, count, count));
        rig.verify();
        drop(pages(&rig).allocate(1, 1, NONE).expect("memory"));
    }
    drop(run);
    rig.verify();
    rig.check();
}

fn a_leaked_run_is_recovered<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let run = pages(&rig).allocate(5, 1, NONE).expect("memory");
    let base = run.base();
    let memory = run.leak();
    assert_eq!(runs(&rig), 5, "leaked pages stay allocated");
    rig.verify();
    // SAFETY: the memory was leaked just now, and nothing uses it.
    let run = unsafe { pages(&rig).recover(memory) }.expect("the heap's");
    assert_eq!((run.base(), run.count()), (base, 5));
    drop(run);
    assert_eq!(runs(&rig), 0);
    rig.check();
}

fn a_run_that_cannot_be_is_refused<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    for (pages_asked, align) in [(0, 1), (1, 3), (1, 0), (0, 0)] {
        let refused = pages(&rig).allocate(pages_asked, align, NONE).unwrap_err();
        assert!(
            matches!(refused.cause, Cause::NoSuchRun { .. }),
            "{refused}"
        );
    }
    for (count, align) in [
        (usize::MAX, 1),
        (usize::MAX / Rig::<G>::PAGE, 1),
        (1, 1 << (usize::BITS - 1)),
    ] {
        let refused = pages(&rig).allocate(count, align, NONE).unwrap_err();
        assert!(matches!(refused.cause, Cause::TooLarge { .. }), "{refused}");
    }
    let before = rig.heap.stats();
    rig.heap.pages().set_limit(before.mapped_ready);
    let refused = pages(&rig).allocate(1, 1, NONE).unwrap_err();
    assert!(matches!(refused.cause, Cause::Limit { .. }), "{refused}");
    assert_eq!(runs(&rig), 0);
    let empty = Rig::<G>::uninitialised(Sim::default());
    let refused = pages(&empty).allocate(1, 1, NONE).unwrap_err();
    assert_eq!(refused.cause, Cause::NotInitialised);
}

fn an_atomic_run_comes_from_the_reserve<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    pages(&rig).set_reserve(4).expect("memory");
    let calls = rig.machine.calls();
    let run = pages(&rig)
        .allocate(4, 1, AllocFlags::ATOMIC)
        .expect("the reserve has them");
    assert_eq!(rig.machine.calls(), calls);
    rig.verify();
    drop(run);
    rig.verify();
}

fn pages_of_runs_are_not_scavenged<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let run = pages(&rig).allocate(8, 1, NONE).expect("memory");
    // SAFETY: the run is Ready and this test's alone.
    unsafe { run.as_ptr().as_mut() }.fill(7);
    rig.heap.pages().scavenge(usize::MAX).expect("not busy");
    // SAFETY: as above.
    let bytes = unsafe { run.as_ptr().as_ref() };
    assert!(bytes.iter().all(|byte| *byte == 7));
    let stats = rig.heap.pages().stats();
    assert_eq!(stats.runs, 8);
    assert_eq!(stats.owned, stats.free + 8);
    rig.verify();
}

archipelago_testing::on_every_geometry!(
    a_run_is_aligned_zeroed_and_charged,
    memory_that_was_used_is_cleared_again,
    a_run_is_no_object,
    a_run_grows_and_shrinks_in_place,
    a_run_grows_into_pages_that_were_used,
    a_leaked_run_is_recovered,
    a_run_that_cannot_be_is_refused,
    an_atomic_run_comes_from_the_reserve,
    pages_of_runs_are_not_scavenged,
);
