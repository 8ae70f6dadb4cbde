//! The reserve's records are refilled like its pages.

use archipelago::{AllocFlags, Cause};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, layout, lone_window};

/// Atomic requests use up the records of the reserve while its pages stay: enough others are Ready.
fn an_ordinary_request_refills_the_records<G: SimGeometry>() {
    let window = lone_window::<G>(16 * G::GEOMETRY.arena_bytes());
    let rig = Rig::<G>::on(Sim::default(), &[window]);
    let page = Rig::<G>::PAGE;
    let small = rig.get(24, 8);
    let large = layout(9 * page, 8);
    rig.heap.set_reserve(2).expect("there is memory");
    // Pages that are Ready for more large objects than there can be records.
    rig.free(rig.get(50 * large.size(), 8));
    let mut blocks = Vec::new();
    let refused = loop {
        match rig.allocate(large, AllocFlags::ATOMIC) {
            Ok(block) => blocks.push(block),
            Err(error) => break error.cause,
        }
    };
    assert!(
        matches!(refused, Cause::NotReady { bytes } if bytes < page),
        "{refused}"
    );
    // It finds a free slot, and needs no record of its own.
    blocks.push(rig.get(24, 8));
    let served = rig.allocate(large, AllocFlags::ATOMIC);
    blocks.push(served.expect("the reserve has records again"));
    rig.verify();
    blocks.push(small);
    blocks.into_iter().for_each(|block| rig.free(block));
    rig.verify();
    rig.check();
}

archipelago_testing::on_every_geometry!(an_ordinary_request_refills_the_records);
