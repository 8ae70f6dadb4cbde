//! Reallocation: in place where class or neighbouring pages allow, else by moving.

use archipelago::{AllocFlags, Cause, Purpose};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Block, Rig, lone_window};

const NONE: AllocFlags = AllocFlags::empty();

/// A heap that owns `pages` free pages that are Ready, in one run, and nothing else that is free.
fn with_free_pages<G: SimGeometry>(pages: usize) -> Rig<G> {
    let rig = Rig::<G>::new();
    let run = rig.get(pages * Rig::<G>::PAGE, 8);
    run.fill(0xd1e7);
    rig.free(run);
    rig
}

fn grow<G: SimGeometry>(rig: &Rig<G>, block: Block, pages: usize) -> Block {
    rig.resize(block, pages * Rig::<G>::PAGE, NONE)
        .expect("memory")
}

fn a_large_object_grows_in_place_page_by_page<G: SimGeometry>() {
    let rig = with_free_pages::<G>(200);
    let mut block = rig.get(40 * Rig::<G>::PAGE, 8);
    block.fill(7);
    let (first, bytes) = (block.pointer, block.layout.size());
    let calls = rig.machine.calls();
    for pages in 41..=200 {
        block = grow(&rig, block, pages);
        assert_eq!(block.pointer, first, "to {pages} pages");
        assert_eq!(block.find_damage(7, bytes), None);
        rig.check();
    }
    assert_eq!(
        rig.machine.calls(),
        calls,
        "the pages that follow it were ready"
    );
    rig.verify();
    rig.free(block);
    rig.verify();
}

fn a_large_object_grows_in_place_over_pages_without_memory<G: SimGeometry>() {
    let rig = with_free_pages::<G>(100);
    let block = rig.get(40 * Rig::<G>::PAGE, 8);
    block.fill(7);
    let scavenged = rig
        .heap
        .scavenge(usize::MAX)
        .expect("the machine is not in use");
    assert_eq!(scavenged, 60);
    let ready = rig.heap.stats().mapped_ready;
    let grown = grow(&rig, block, 90);
    assert_eq!(grown.pointer, block.pointer);
    assert_eq!(grown.find_damage(7, block.layout.size()), None);
    assert_eq!(rig.heap.stats().mapped_ready, ready + 50 * Rig::<G>::PAGE);
    rig.check();
    rig.verify();
}

fn a_large_object_with_a_neighbour_moves_with_its_contents<G: SimGeometry>() {
    let rig = with_free_pages::<G>(200);
    let block = rig.get(40 * Rig::<G>::PAGE, 8);
    let neighbour = rig.get(40 * Rig::<G>::PAGE, 8);
    block.fill(1);
    neighbour.fill(2);
    let moved = grow(&rig, block, 41);
    assert_ne!(moved.pointer, block.pointer);
    assert_eq!(moved.find_damage(1, block.layout.size()), None);
    assert_eq!(neighbour.find_damage(2, neighbour.layout.size()), None);
    rig.check();
    rig.verify();
}

fn shrinking_gives_the_tail_back<G: SimGeometry>() {
    let rig = with_free_pages::<G>(100);
    let block = rig.get(100 * Rig::<G>::PAGE, 8);
    block.fill(3);
    let free = rig.heap.stats().of(Purpose::Free);
    let shrunk = grow(&rig, block, 45);
    assert_eq!(shrunk.pointer, block.pointer);
    assert_eq!(shrunk.find_damage(3, shrunk.layout.size()), None);
    assert_eq!(
        rig.heap.stats().of(Purpose::Free),
        free + 55 * Rig::<G>::PAGE
    );
    rig.check();
    rig.verify();
    let behind = rig.get(55 * Rig::<G>::PAGE, 8);
    let distance = rig.address(behind).bytes_above(rig.address(shrunk));
    assert_eq!(
        distance,
        Some(45 * Rig::<G>::PAGE),
        "the tail is used again"
    );
    rig.free(shrunk);
    rig.free(behind);
    rig.verify();
}

fn what_a_zeroed_extension_adds_is_zero<G: SimGeometry>() {
    let rig = with_free_pages::<G>(100);
    for (old, new) in [
        (1, 8),
        (5, 100),
        (100, 5000),
        (30 * Rig::<G>::PAGE, 80 * Rig::<G>::PAGE + 1),
    ] {
        let block = rig.get(old, 8);
        block.fill(9);
        let grown = rig.resize(block, new, AllocFlags::ZEROED).expect("memory");
        assert_eq!(grown.find_damage(9, old), None, "{old} to {new}");
        assert_eq!(grown.find_dirt(old), None, "{old} to {new}");
        // Bytes that were cut off and come back are zero, too.
        grown.fill(9);
        let shrunk = rig.resize(grown, old, NONE).expect("memory");
        let again = rig.resize(shrunk, new, AllocFlags::ZEROED).expect("memory");
        assert_eq!(again.find_damage(9, old), None, "{old} to {new}, again");
        assert_eq!(again.find_dirt(old), None, "{old} to {new}, again");
        rig.free(again);
    }
    rig.check();
}

fn sizes_of_one_class_stay_where_they_are<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let block = rig.get(1000, 8);
    block.fill(4);
    let (most, calls) = (block.bytes, rig.machine.calls());
    for size in [most, 1000, most - 1] {
        let resized = rig.resize(block, size, NONE).expect("memory");
        assert_eq!(resized.pointer, block.pointer);
        let back = rig.resize(resized, 1000, NONE).expect("memory");
        assert_eq!(back.pointer, block.pointer);
    }
    assert_eq!(block.find_damage(4, 1000), None);
    assert_eq!(rig.machine.calls(), calls);
}

fn contents_survive_every_change_of_kind<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let page = Rig::<G>::PAGE;
    let sizes = [
        1,
        8,
        9,
        100,
        page,
        page + 1,
        32 << 10,
        (32 << 10) + 1,
        30 * page,
        3,
        40 * page,
        200,
    ];
    let mut block = rig.get(sizes[0], 8);
    for size in sizes {
        block.fill(6);
        let kept = size.min(block.layout.size());
        block = rig.resize(block, size, NONE).expect("memory");
        assert_eq!(block.find_damage(6, kept), None, "to {size}");
        rig.check();
    }
    rig.free(block);
    assert_eq!(rig.heap.stats().small_objects, 0);
}

fn a_refused_realloc_leaves_the_object_as_it_was<G: SimGeometry>() {
    let machine = Sim::builder().frames(100).build();
    let rig = Rig::<G>::on(machine, &[lone_window::<G>(2000 * Rig::<G>::PAGE)]);
    for size in [100, 20 * Rig::<G>::PAGE] {
        let block = rig.get(size, 8);
        block.fill(5);
        // Empty spans that are kept for reuse are freed when memory runs out.
        rig.heap.scavenge(0).expect("the machine is not in use");
        let before = rig.heap.stats();
        let error = rig
            .resize(block, 1000 * Rig::<G>::PAGE, NONE)
            .expect_err("too few frames");
        assert!(matches!(error.cause, Cause::Frames { .. }), "{error}");
        assert_eq!(block.find_damage(5, size), None);
        rig.check();
        rig.verify();
        assert_eq!(rig.heap.stats().small_objects, before.small_objects);
        assert_eq!(
            rig.heap.stats().of(Purpose::Objects),
            before.of(Purpose::Objects)
        );
        rig.free(block);
    }
}

fn a_realloc_that_must_not_grow_takes_ready_memory<G: SimGeometry>() {
    let rig = with_free_pages::<G>(100);
    let block = rig.get(40 * Rig::<G>::PAGE, 8);
    let calls = rig.machine.calls();
    let grown = rig
        .resize(block, 50 * Rig::<G>::PAGE, AllocFlags::NO_GROW)
        .expect("ready pages");
    assert_eq!(grown.pointer, block.pointer);
    assert_eq!(rig.machine.calls(), calls);
    rig.heap
        .scavenge(usize::MAX)
        .expect("the machine is not in use");
    let (mut stats, calls) = (rig.heap.stats(), rig.machine.calls());
    stats.refusals += 1;
    let error = rig
        .resize(grown, 60 * Rig::<G>::PAGE, AllocFlags::NO_GROW)
        .expect_err("nothing is ready");
    assert!(matches!(error.cause, Cause::NotReady { .. }), "{error}");
    assert_eq!((rig.heap.stats(), rig.machine.calls()), (stats, calls));
    rig.check();
    rig.verify();
}

archipelago_testing::on_every_geometry!(
    a_large_object_grows_in_place_page_by_page,
    a_large_object_with_a_neighbour_moves_with_its_contents,
    shrinking_gives_the_tail_back,
    what_a_zeroed_extension_adds_is_zero,
    sizes_of_one_class_stay_where_they_are,
    contents_survive_every_change_of_kind,
    a_refused_realloc_leaves_the_object_as_it_was,
);
archipelago_testing::on_geometries_that_decommit!(
    a_large_object_grows_in_place_over_pages_without_memory,
    a_realloc_that_must_not_grow_takes_ready_memory,
);
