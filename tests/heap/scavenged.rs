//! The memory that stays when all that can go is scavenged, as the readme lists it.

use archipelago::{AllocFlags, Cause, Kernel, Purpose, Window};
use archipelago_sim::{Hosted, Mode, Sim, SimGeometry, X86_64};
use archipelago_testing::{Rig, layout, lone_window};

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

/// A machine that is busy is asked no more: what it took back until then is counted.
fn scavenging_ends_when_the_machine_is_busy<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let get = |count| rig.heap.pages().allocate(count, 1, NONE).expect("memory");
    let [low, _between, high, _above] = [3, 1, 4, 1].map(get);
    rig.heap.scavenge(usize::MAX).expect("not busy");
    drop(low);
    drop(high);
    let scavenge = |busy_at| {
        let state = Hosted::disable_interrupts();
        rig.machine.busy_nth(busy_at, Mode::FromThenOn);
        let done = rig.heap.scavenge(usize::MAX);
        rig.machine.disarm();
        // SAFETY: the state is that of the last call.
        unsafe { Hosted::restore_interrupts(state) };
        rig.check();
        done
    };
    assert_eq!(scavenge(1), Err(Cause::Busy));
    assert_eq!(scavenge(2), Ok(4), "the high pages");
    assert_eq!(scavenge(1), Err(Cause::Busy));
    assert_eq!(scavenge(2), Ok(3), "the low ones");
    assert_eq!(scavenge(1), Ok(0), "the machine is not asked");
}

/// The highest pages that a heap can have are scavenged like all others.
fn the_end_of_the_space_is_scavenged<G: SimGeometry>() {
    let low = lone_window::<G>(G::GEOMETRY.arena_bytes());
    let bytes = 64 * Rig::<G>::PAGE;
    let last = G::GEOMETRY.last_offset().value();
    let end = Window::new(G::GEOMETRY.base.wrapping_add(last - (bytes - 1)), bytes);
    let rig = Rig::<G>::on(Sim::default(), &[low, end]);
    let mut runs = Vec::new();
    let mut count = 1 << 20;
    while count > 0 {
        match rig.heap.pages().allocate(count, 1, NONE) {
            Ok(run) => runs.push(run),
            Err(_) => count /= 2,
        }
    }
    assert!(
        runs.iter()
            .any(|run| run.base().value().wrapping_sub(end.base) < bytes)
    );
    drop(runs);
    rig.heap.scavenge(usize::MAX).expect("not busy");
    assert_eq!(rig.heap.stats().of(Purpose::Free), 0);
    rig.check();
}

archipelago_testing::on_geometries_that_decommit!(
    scavenging_ends_when_the_machine_is_busy,
    the_end_of_the_space_is_scavenged,
);
