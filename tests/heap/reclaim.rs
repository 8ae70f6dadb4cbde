//! A heap that is out of memory, except for its own free pages, scavenges them before it refuses a
//! request.

use archipelago::{AllocFlags, Cause, Purpose};
use archipelago_sim::{Sim, SimGeometry, SmallFixed};
use archipelago_testing::{Block, Rig, layout, lone_window};

/// A machine with frames for a few dozen pages of every geometry, and address space for more.
fn short_of_frames<G: SimGeometry>() -> Rig<G> {
    let window = lone_window::<G>(16 * G::GEOMETRY.arena_bytes());
    Rig::on(Sim::builder().frames(200).build(), &[window])
}

/// Allocates until the heap refuses, and returns the cause.
fn fill<G: SimGeometry>(rig: &Rig<G>, size: usize) -> (Vec<Block>, Cause) {
    let mut blocks = Vec::new();
    loop {
        match rig.allocate(layout(size, 8), AllocFlags::empty()) {
            Ok(block) => blocks.push(block),
            Err(error) => return (blocks, error.cause),
        }
    }
}

fn is_out_of_frames(cause: Cause) -> bool {
    matches!(cause, Cause::Frames { .. } | Cause::PageTables { .. })
}

fn what_was_freed_serves_requests_of_another_size<G: SimGeometry>() {
    let rig = short_of_frames::<G>();
    let page = Rig::<G>::PAGE;
    let mut live_bytes = Vec::new();
    // Small objects need metadata, for which there are no frames but those that back free pages.
    for size in [5 * page, page / 2, 2 * page, page / 2] {
        let (blocks, cause) = fill(&rig, size);
        assert!(is_out_of_frames(cause), "{cause}");
        rig.check();
        live_bytes.push(blocks.len() * size);
        blocks.into_iter().for_each(|block| rig.free(block));
        rig.check();
    }
    let most = *live_bytes.iter().max().expect("four sizes");
    for bytes in live_bytes {
        assert!(bytes >= most * 3 / 4, "{bytes} of {most} bytes");
    }
}

fn a_limit_scavenges_before_it_refuses<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let page = Rig::<G>::PAGE;
    let blocks: Vec<_> = (0..8).map(|_| rig.get(4 * page, 8)).collect();
    rig.heap.set_limit(rig.heap.stats().mapped_ready);
    let last = rig.allocate(layout(6 * page, 8), AllocFlags::empty());
    let cause = last.expect_err("nothing is free").cause;
    assert!(matches!(cause, Cause::Limit { .. }), "{cause}");

    // Every other object is freed: no free run is long enough, and the pages above them are not
    // Ready.
    let mut kept = Vec::new();
    for (number, block) in blocks.into_iter().enumerate() {
        if number % 2 == 0 {
            rig.free(block);
        } else {
            kept.push(block);
        }
    }
    let free = rig.heap.stats().of(Purpose::Free);
    let last = rig.get(6 * page, 8);
    rig.check();
    assert!(rig.heap.stats().of(Purpose::Free) + 6 * page <= free);
    rig.free(last);
    kept.into_iter().for_each(|block| rig.free(block));
    rig.check();
}

fn what_scavenging_cannot_make_up_for_scavenges_nothing<G: SimGeometry>() {
    let rig = short_of_frames::<G>();
    let page = Rig::<G>::PAGE;
    let block = rig.get(10 * page, 8);
    rig.free(block);
    let before = rig.heap.stats();
    let refused = rig.allocate(layout(300 * page, 8), AllocFlags::empty());
    refused.expect_err("there are 200 frames");
    let after = rig.heap.stats();
    // A page of span records may have become free.
    assert!(after.of(Purpose::Free) >= before.of(Purpose::Free));
    assert_eq!(after.scavenged_pages, before.scavenged_pages);
    rig.check();
}

/// A run of free pages with two holes of one size between its Ready pages: memory is reclaimed for
/// the first, and then the second is refused for the same reason, with the same figures.
fn two_holes_in_a_run_are_made_up_for<G: SimGeometry>() {
    let page = Rig::<G>::PAGE;
    for is_limit in [false, true] {
        let rig = Rig::<G>::new();
        // Each object is a run of its own, at rising addresses.
        let [first, between, last, above, spare, top] =
            [20, 20, 20, 20, 40, 20].map(|pages| rig.get(pages * page, 8));
        for hole in [first, last] {
            rig.free(hole);
            rig.heap.scavenge(20).expect("the machine is not in use");
        }
        rig.free(between);
        rig.free(spare);
        let before = rig.heap.stats();
        if is_limit {
            rig.heap.set_limit(before.mapped_ready);
        } else {
            rig.machine.set_available_frames(0);
        }
        let whole = rig.get(60 * page, 8);
        assert_eq!(whole.pointer, first.pointer, "the lowest free run is used");
        rig.check();
        let after = rig.heap.stats();
        assert_eq!(after.mapped_ready, before.mapped_ready);
        rig.machine.set_available_frames(usize::MAX);
        [whole, above, top]
            .into_iter()
            .for_each(|block| rig.free(block));
        rig.check();
    }
}

/// Frames that the machine takes back and does not give out again: scavenging more of them would
/// not change the answer.
fn what_scavenging_does_not_change_is_scavenged_once<G: SimGeometry>() {
    // Too long for a span of any class.
    const MISSING: usize = 40;
    let window = lone_window::<G>(16 * G::GEOMETRY.arena_bytes());
    let rig = Rig::<G>::on(Sim::default(), &[window]);
    let page = Rig::<G>::PAGE;
    let blocks: Vec<_> = (0..12).map(|_| rig.get((MISSING - 1) * page, 8)).collect();
    // No free run is long enough, and all of them have memory for three such requests.
    let (freed, kept): (Vec<_>, Vec<_>) =
        (0..).zip(blocks).partition(|(number, _)| number % 2 == 0);
    freed.into_iter().for_each(|(_, block)| rig.free(block));
    let before = rig.heap.stats();
    assert!(before.of(Purpose::Free) >= 3 * MISSING * page);
    let machine = rig.machine.clone();
    rig.machine
        .on_call(move |_| machine.set_available_frames(0));
    let refused = rig.allocate(layout(MISSING * page, 8), AllocFlags::empty());
    rig.machine.clear_hook();
    let cause = refused.expect_err("no frame can be had").cause;
    assert!(is_out_of_frames(cause), "{cause}");
    let scavenged = rig.heap.stats().scavenged_pages - before.scavenged_pages;
    assert!((1..=MISSING).contains(&scavenged), "{scavenged} pages");
    rig.machine.set_available_frames(usize::MAX);
    kept.into_iter().for_each(|(_, block)| rig.free(block));
    rig.verify();
    rig.check();
}

/// The memory of all free pages serves a request that lacks no byte more.
fn exactly_as_much_as_was_missing_is_scavenged<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let pages = rig.heap.pages();
    let get = |count| pages.allocate(count, 1, AllocFlags::empty());
    let runs = [8, 1, 4, 1].map(|count| get(count).expect("memory"));
    let [long, _first, short, _second] = runs;
    drop(long);
    pages.scavenge(usize::MAX).expect("not busy");
    drop(short);
    let missing = 4 * Rig::<G>::PAGE;
    assert_eq!(rig.heap.stats().of(Purpose::Free), missing);
    let limit = rig.heap.stats().mapped_ready + missing;
    rig.heap.set_limit(limit - 1);
    get(8).expect_err("a byte too many");
    rig.heap.set_limit(limit);
    let _run = get(8).expect("there is as much");
    assert_eq!(rig.heap.stats().mapped_ready, limit);
    rig.check();
}

archipelago_testing::on_every_geometry!(what_scavenging_cannot_make_up_for_scavenges_nothing);
archipelago_testing::on_geometries_that_decommit!(
    two_holes_in_a_run_are_made_up_for,
    what_was_freed_serves_requests_of_another_size,
    a_limit_scavenges_before_it_refuses,
    what_scavenging_does_not_change_is_scavenged_once,
    exactly_as_much_as_was_missing_is_scavenged,
);

/// Without an MMU the heap commits pages as it needs them, and decommits none.
#[test]
fn a_machine_without_an_mmu_is_never_asked_for_memory_back() {
    let rig = Rig::<SmallFixed>::new();
    let page = Rig::<SmallFixed>::PAGE;
    let before = rig.heap.stats();
    let blocks = [40 * page, 30 * page].map(|bytes| rig.get(bytes, page));
    let grown = rig.heap.stats();
    assert_eq!(
        grown.owned_pages - before.owned_pages,
        70 + grown.record_pages,
        "no page is taken before a request needs it"
    );
    assert_eq!(grown.prepared, before.prepared);
    blocks.into_iter().for_each(|block| rig.free(block));
    assert_eq!(rig.heap.scavenge(70), Ok(0));
    let freed = rig.heap.stats();
    let free_pages = 70 + grown.record_pages;
    assert_eq!((freed.free_pages, freed.scavenged_pages), (free_pages, 0));
    rig.verify();
}
