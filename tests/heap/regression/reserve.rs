//! The reserve's records are refilled like its pages.

use archipelago::{AllocFlags, Purpose};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, layout, lone_window};

/// Atomic requests use up the records of the reserve while its pages stay: enough others are Ready.
/// They then make records in pages that are Ready, and in the reserve's last.
fn atomic_requests_make_records_of_ready_pages<G: SimGeometry>() {
    let window = lone_window::<G>(16 * G::GEOMETRY.arena_bytes());
    let rig = Rig::<G>::on(Sim::default(), &[window]);
    let page = Rig::<G>::PAGE;
    let small = rig.get(24, 8);
    let large = layout(9 * page, 8);
    rig.heap.set_reserve(2).expect("there is memory");
    // Pages that are Ready for more large objects than there were records.
    rig.free(rig.get(50 * large.size(), 8));
    let calls = rig.machine.calls();
    let mut blocks = Vec::new();
    while let Ok(block) = rig.allocate(large, AllocFlags::ATOMIC) {
        blocks.push(block);
    }
    assert!(blocks.len() >= 49, "{} of 50 objects", blocks.len());
    assert_eq!(rig.machine.calls(), calls, "the machine is not called");
    rig.verify();
    // What is left is fewer pages than an object has.
    while let Ok(block) = rig.allocate(layout(page, page), AllocFlags::ATOMIC) {
        blocks.push(block);
    }
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 0);
    rig.verify();
    // A request that finds a free slot leaves the reserve as it is; one that needs a page refills
    // pages and records.
    blocks.push(rig.get(24, 8));
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 0);
    blocks.push(rig.get(page, page));
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 2 * page);
    rig.verify();
    for _ in 0..2 {
        let served = rig.allocate(layout(page, page), AllocFlags::ATOMIC);
        blocks.push(served.expect("the reserve has pages and records again"));
    }
    rig.verify();
    blocks.push(small);
    blocks.into_iter().for_each(|block| rig.free(block));
    rig.verify();
    rig.check();
}

archipelago_testing::on_every_geometry!(atomic_requests_make_records_of_ready_pages);
