//! Pages of several granules, and metadata at odd places.

use archipelago::{AllocFlags, Window};
use archipelago_sim::{Sim, SimGeometry, WidePage};
use archipelago_testing::{Rig, layout, lone_window};

/// No object in part of a page is committed or decommitted, wherever the window begins.
#[test]
fn a_page_of_two_granules_goes_back_whole() {
    let granule = WidePage::GEOMETRY.granule_bytes();
    let page = Rig::<WidePage>::PAGE;
    let lone = lone_window::<WidePage>(1500 * page);
    for (base, bytes) in [(0, 0), (granule, 0), (0, granule), (granule, granule)] {
        let window = Window::new(lone.base + base, lone.bytes + bytes);
        let rig = Rig::<WidePage>::on(Sim::default(), &[window]);
        rig.machine.on_call(move |call| {
            let whole = call.range.is_aligned(page);
            assert!(whole, "{call} takes a page apart");
        });
        let blocks: Vec<_> = (1..60).map(|pages| rig.get(pages * granule, 8)).collect();
        rig.check();
        for block in blocks {
            rig.free(block);
        }
        let ready = rig.heap.stats().mapped_ready;
        let scavenged = rig.heap.scavenge(50).expect("the machine is not in use");
        assert_eq!(scavenged, 50);
        assert_eq!(rig.heap.stats().mapped_ready, ready - 50 * page);
        rig.check();
        rig.verify();
        rig.machine.clear_hook();
    }
}

/// Tables are aligned as they must be, wherever metadata begins.
fn metadata_may_begin_anywhere<G: SimGeometry>() {
    let geometry = G::GEOMETRY;
    let (granule, page) = (geometry.granule_bytes(), geometry.page_bytes());
    let lone = lone_window::<G>(200 * page);
    for shift in [1, 2, 3, 5, 8, 13, 16, 17, 31] {
        // The end of the window is where metadata begins.
        let bytes = lone.bytes + shift * granule;
        let rig = Rig::<G>::on(Sim::default(), &[Window::new(lone.base + granule, bytes)]);
        let blocks: Vec<_> = (0..150).map(|number| rig.get(1 + number * 5, 8)).collect();
        rig.check();
        rig.verify();
        blocks.into_iter().for_each(|block| rig.free(block));
    }
}

/// Scavenging everything leaves nothing Ready but metadata, and all of it comes back.
fn all_free_memory_can_be_given_back<G: SimGeometry>() {
    let window = lone_window::<G>(1000 * Rig::<G>::PAGE);
    let rig = Rig::<G>::on(Sim::default(), &[window]);
    let blocks: Vec<_> = (1..100).map(|number| rig.get(number * 97, 8)).collect();
    for (id, block) in (0..).zip(&blocks) {
        block.fill(id);
    }
    let (gone, kept): (Vec<_>, Vec<_>) = (0..).zip(blocks).partition(|(id, _)| id % 2 == 0);
    for (_, block) in gone {
        rig.free(block);
    }
    rig.heap
        .scavenge(usize::MAX)
        .expect("the machine is not in use");
    let stats = rig.heap.stats();
    assert_eq!(stats.free_pages, stats.scavenged_pages);
    rig.check();
    rig.verify();
    for (id, block) in kept {
        assert_eq!(block.find_damage(id, block.layout.size()), None);
        rig.free(block);
    }
    rig.heap
        .scavenge(usize::MAX)
        .expect("the machine is not in use");
    assert_eq!(rig.heap.stats().mapped_ready, rig.heap.stats().metadata());
    rig.check();
    let block = rig
        .allocate(layout(90 * Rig::<G>::PAGE, 8), AllocFlags::ZEROED)
        .expect("memory");
    assert_eq!(block.find_dirt(0), None);
    rig.free(block);
    rig.verify();
}

archipelago_testing::on_every_geometry!(metadata_may_begin_anywhere);
archipelago_testing::on_geometries_that_decommit!(all_free_memory_can_be_given_back);
