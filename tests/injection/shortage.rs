//! A frame allocator of k frames, and a limit of k more frames, for every k until they suffice.

use archipelago::{Cause, Purpose};
use archipelago_sim::SimGeometry;

use crate::case::Case;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::sweep::{REPEATS, Scenario};

/// More frames than any operation asks for, with room to give some back.
const PLENTY: usize = usize::MAX / 2;

/// A scarce resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// The source has so many frames.
    Frames,
    /// So many granules may become Ready before the limit is reached.
    Limit,
}

/// Runs the operation with k of the scarce resource, for every k until it suffices. Of a stretch of
/// k for which the same call fails, the first and the last are tried. Returns how often the
/// operation was refused.
pub(crate) fn sweep<G: SimGeometry>(scenario: &Scenario<G>, scarce: Scarce) -> usize {
    let (mut refusals, mut count) = (0, 0);
    while let Some(missing) = run_short(scenario, scarce, count) {
        refusals += 1;
        // With one more than was missing, another call fails, or none.
        count += if missing > 1 { missing - 1 } else { 1 };
    }
    refusals
}

/// Runs the operation with `count` of the scarce resource. Returns how many were missing, or `None`
/// if they sufficed.
fn run_short<G: SimGeometry>(
    scenario: &Scenario<G>,
    scarce: Scarce,
    count: usize,
) -> Option<usize> {
    println!("{count} of {scarce:?}");
    let mut case = (scenario.set_up)();
    let before = look(scenario, &case);
    let scavengeable = case.rig.heap.stats().of(Purpose::Free) / G::GEOMETRY.granule_bytes();
    scarce.restrict(&case, count);
    let Err(refusal) = (scenario.operate)(&mut case) else {
        case.finish();
        return None;
    };
    let missing = scarce.missing::<G>(refusal, count + scavengeable);
    let once = look(scenario, &case);
    once.assert_only_stocked(&before, scenario.grows);
    for _ in 1..REPEATS {
        let result = (scenario.operate)(&mut case);
        let again = result.expect_err("as much is missing");
        assert!(again == refusal || scenario.absorbs, "{again:?}");
    }
    case.check();
    look(scenario, &case).assert_no_more_than(&once);
    scarce.relieve(&case);
    let result = (scenario.operate)(&mut case);
    assert_eq!(result, Ok(()), "the same operation, with nothing missing");
    case.finish();
    Some(missing)
}

/// A snapshot of the case. An operation that has another way may have scavenged.
fn look<G: SimGeometry>(scenario: &Scenario<G>, case: &Case<G>) -> Snapshot {
    let seen = Snapshot::of(case);
    if scenario.absorbs {
        seen.with_free_pages_alike()
    } else {
        seen
    }
}

impl Scarce {
    fn restrict<G: SimGeometry>(self, case: &Case<G>, count: usize) {
        let heap = &case.rig.heap;
        match self {
            Self::Frames => case.rig.machine.set_available_frames(count),
            Self::Limit => {
                let more = count * G::GEOMETRY.granule_bytes();
                heap.set_limit(heap.stats().mapped_ready + more);
            }
        }
    }

    fn relieve<G: SimGeometry>(self, case: &Case<G>) {
        match self {
            Self::Frames => case.rig.machine.set_available_frames(PLENTY),
            Self::Limit => case.rig.heap.set_limit(usize::MAX),
        }
    }

    /// How many were missing; panics unless the refusal is the documented one, and at most `most`
    /// could be had.
    fn missing<G: SimGeometry>(self, refusal: Refusal, most: usize) -> usize {
        let (needed, available) = match (self, refusal.cause()) {
            (Self::Frames, Some(Cause::Frames { needed, available }))
            | (Self::Frames, Some(Cause::PageTables { needed, available })) => (needed, available),
            (
                Self::Limit,
                Some(Cause::Limit {
                    bytes,
                    limit,
                    mapped_ready,
                }),
            ) => {
                let granule = G::GEOMETRY.granule_bytes();
                (bytes / granule, (limit - mapped_ready) / granule)
            }
            _ => panic!("{refusal:?}, with {self:?} scarce"),
        };
        assert!(available < needed && available <= most, "{refusal:?}");
        needed - available
    }
}
