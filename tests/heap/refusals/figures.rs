//! The figures of a refusal are those of the whole request, whichever step refused.

use archipelago::{AllocFlags, Cause};
use archipelago_sim::SimGeometry;
use archipelago_testing::Rig;

use super::{heap, with_frames};

const NONE: AllocFlags = AllocFlags::empty();

/// Free pages that have no memory, directly below address space that is unused.
const TAIL: usize = 10;

/// Frames that tables may take before the run has its own.
const TABLES: usize = 3;

/// A heap whose only free pages are [`TAIL`] ones at its end, without memory.
fn heap_with_tail<G: SimGeometry>() -> Rig<G> {
    let (rig, _) = heap::<G>();
    rig.machine.set_available_frames(usize::MAX / 2);
    let pages = rig.heap.pages();
    let take = || {
        let _ = pages.allocate(1, 1, NONE).expect("memory").leak();
        rig.heap.stats().free_pages
    };
    while take() > 0 {}
    while take() > TAIL {}
    let stats = rig.heap.stats();
    assert_eq!((stats.free_pages, stats.scavenged_pages), (TAIL, TAIL));
    rig
}

/// A run of `count` pages that begins in the tail is refused for want of frames, whether these end
/// in the tail or above it, and for the limit; then it is served, from the tail on.
fn refuse<G: SimGeometry>(count: usize) {
    let rig = heap_with_tail::<G>();
    let (page, granule) = (Rig::<G>::PAGE, G::GEOMETRY.granule_bytes());
    let pages = rig.heap.pages();
    let last = pages.allocate(TAIL, 1, NONE).expect("memory");
    let tail = last.base();
    drop(last);
    rig.heap.scavenge(usize::MAX).expect("nobody is inside");
    for left in [TAIL / 2, count - 15] {
        let frames = left * page / granule;
        let refused = with_frames(&rig, frames, || pages.allocate(count, 1, NONE).map(drop));
        let cause = refused.expect_err("there are fewer").cause;
        let Cause::Frames { needed, available } = cause else {
            panic!("{cause}");
        };
        assert_eq!(needed, count * page / granule, "{cause}");
        assert!((frames - TABLES..=frames).contains(&available), "{cause}");
        rig.check();
        rig.verify();
    }
    let mapped_ready = rig.heap.stats().mapped_ready;
    let limit = mapped_ready + (count - 1) * page;
    rig.heap.set_limit(limit);
    let refused = pages.allocate(count, 1, NONE).map(drop);
    let bytes = count * page;
    let asked = Cause::Limit {
        bytes,
        limit,
        mapped_ready,
    };
    assert_eq!(refused.expect_err("there is a limit").cause, asked);
    rig.heap.set_limit(usize::MAX);
    let run = pages.allocate(count, 1, NONE).expect("memory");
    assert_eq!(run.base(), tail, "free pages are part of the run");
    rig.verify();
}

fn a_run_that_begins_in_free_pages<G: SimGeometry>() {
    refuse::<G>(TAIL + 30);
}

/// The run is committed in steps.
fn a_long_run_that_begins_in_free_pages<G: SimGeometry>() {
    refuse::<G>(TAIL + 300);
}

archipelago_testing::on_geometries_that_decommit!(
    a_run_that_begins_in_free_pages,
    a_long_run_that_begins_in_free_pages,
);
