//! The memory that stays when all that can go is scavenged, as the readme lists it.

use archipelago::{AllocFlags, Purpose};
use archipelago_sim::X86_64;
use archipelago_testing::{Rig, layout};

const NONE: AllocFlags = AllocFlags::empty();

/// Bytes of the metadata that describes pages.
fn metadata(rig: &Rig<X86_64>) -> [usize; 4] {
    let stats = rig.heap.stats();
    [
        Purpose::ArenaMetadata,
        Purpose::ArenaIndex,
        Purpose::Summaries,
        Purpose::ChunkBitmaps,
    ]
    .map(|purpose| stats.of(purpose))
}

#[test]
fn live_pages_runs_reserve_tables_and_metadata_stay() {
    let rig = Rig::<X86_64>::new();
    rig.heap.set_reserve(3).expect("there is memory");
    let run = rig.heap.pages().allocate(5, 4096, NONE).expect("memory");
    let small = rig.allocate(layout(64, 8), NONE).expect("memory");
    let large: Vec<_> = (0..100)
        .map(|_| rig.allocate(layout(100_000, 8), NONE).expect("memory"))
        .collect();
    large.into_iter().for_each(|block| rig.free(block));
    let (before, metadata_before) = (rig.heap.stats(), metadata(&rig));
    assert!(before.of(Purpose::Free) > 9_000_000);

    rig.heap.scavenge(usize::MAX).expect("the caller may wait");
    let after = rig.heap.stats();
    assert_eq!(after.of(Purpose::Free), 0);
    assert_eq!(
        after.of(Purpose::Objects),
        4096,
        "one object keeps its span"
    );
    assert_eq!(after.of(Purpose::Runs), 5 * 4096);
    assert_eq!(after.of(Purpose::Reserve), 3 * 4096);
    assert_eq!(after.footprint.table_frames, before.footprint.table_frames);
    assert!(after.prepared >= before.of(Purpose::Free));
    assert_eq!(metadata(&rig), metadata_before);
    rig.check();

    rig.heap.set_reserve(0).expect("nothing is asked for");
    rig.heap.scavenge(usize::MAX).expect("the caller may wait");
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 0);
    drop(run);
    rig.free(small);
}
