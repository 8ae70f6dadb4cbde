//! A frame source of k frames, for every k until they suffice.

use archipelago::Purpose;
use archipelago_sim::SimGeometry;

use crate::case::Case;
use crate::snapshot::Snapshot;
use crate::sweep::{REPEATS, Scenario};

/// As many frames as anybody asks for, with room to give some back.
const PLENTY: usize = usize::MAX / 2;

/// Runs the operation with k frames, for every k until they suffice. Of a stretch of k for which the same call fails, the
/// first and the last are tried. Answers how often frames were short.
pub(crate) fn frames<G: SimGeometry>(scenario: &Scenario<G>) -> usize {
    let (mut shortages, mut frames) = (0, 0);
    while let Some(missing) = run_short(scenario, frames) {
        shortages += 1;
        // With one more than what was missing, another call fails or none.
        frames += if missing > 1 { missing - 1 } else { 1 };
    }
    shortages
}

/// Runs the operation with `frames` frames in the source. Answers how many were missing, or `None` if they sufficed.
fn run_short<G: SimGeometry>(scenario: &Scenario<G>, frames: usize) -> Option<usize> {
    println!("{frames} frames");
    let mut case = (scenario.set_up)();
    let look = |case: &Case<G>| {
        let seen = Snapshot::of(case);
        // What has another way may have scavenged.
        if scenario.absorbs {
            seen.with_free_pages_alike()
        } else {
            seen
        }
    };
    let before = look(&case);
    let free = case.rig.heap.stats().of(Purpose::Free);
    let scavengeable = free / G::GEOMETRY.granule_bytes();
    case.rig.machine.set_available_frames(frames);
    let Err(refusal) = (scenario.operate)(&mut case) else {
        case.finish();
        return None;
    };
    assert!(refusal.is_shortage(frames + scavengeable), "{refusal:?}");
    let once = look(&case);
    once.assert_only_stocked(&before);
    for _ in 1..REPEATS {
        let answer = (scenario.operate)(&mut case);
        let again = answer.expect_err("the same frames are missing");
        assert!(again == refusal || scenario.absorbs, "{again:?}");
    }
    case.check();
    look(&case).assert_no_more_than(&once);
    case.rig.machine.set_available_frames(PLENTY);
    let answer = (scenario.operate)(&mut case);
    assert_eq!(answer, Ok(()), "the same operation, with frames enough");
    case.finish();
    let (needed, available) = refusal.shortage()?;
    Some(needed - available)
}
